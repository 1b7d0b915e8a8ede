// The catalogue of methods as a board shows it.
import type { MethodCard } from '../../store/contract';

/** Families in a fixed order, so that a method keeps its place; one that this page does not know stands at the end. */
const ORDER = ['low-rank', 'sparse', 'optimiser', 'quantised', 'initialisation', 'routing', 'other', 'baseline'];

export function families(methods: readonly MethodCard[]): { id: string; methods: MethodCard[] }[] {
  const ids = [...new Set(methods.map((method) => method.family as string))];
  const place = (id: string) => (ORDER.includes(id) ? ORDER.indexOf(id) : ORDER.length);
  return ids.sort((a, b) => place(a) - place(b) || a.localeCompare(b)).map((id) => ({ id, methods: methods.filter((method) => method.family === id) }));
}

export const citation = ({ paper }: MethodCard) => [paper.authors, paper.venue.includes(String(paper.year)) ? paper.venue : `${paper.venue} ${paper.year}`].filter(Boolean).join(', ');

export const matches = ({ name, slug, summary, paper }: MethodCard, text: string) => `${name} ${slug} ${summary} ${paper.authors} ${paper.title} ${paper.year}`.toLowerCase().includes(text.trim().toLowerCase());
