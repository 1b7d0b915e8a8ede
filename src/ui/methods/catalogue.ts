// The catalogue of methods as a board shows it.
import type { MethodCard, ModelCard } from '../../store/contract';
import { strings } from '../strings';

/** Families in a fixed order, so that a method keeps its place; one that this page does not know stands at the end. */
const ORDER = ['low-rank', 'sparse', 'optimiser', 'quantised', 'initialisation', 'routing', 'other', 'baseline'];

export function families(methods: readonly MethodCard[]): { id: string; methods: MethodCard[] }[] {
  const ids = [...new Set(methods.map((method) => method.family as string))];
  const place = (id: string) => (ORDER.includes(id) ? ORDER.indexOf(id) : ORDER.length);
  return ids.sort((a, b) => place(a) - place(b) || a.localeCompare(b)).map((id) => ({ id, methods: methods.filter((method) => method.family === id) }));
}

/** A venue that names a year of its own is not given another: what appeared at ICLR 2022 may have been written the year before. */
export const citation = ({ paper }: MethodCard) => [paper.authors, /\b\d{4}\b/.test(paper.venue) ? paper.venue : `${paper.venue} ${paper.year}`].filter(Boolean).join(', ');

/** Why a method cannot adapt the loaded model; '' where it can, or where none is loaded. */
export function notFor(model: ModelCard | null, { models, wantsF32 }: MethodCard): string {
  const { kinds, notFor: say } = strings.methods;
  if (model !== null && wantsF32 && model.weights !== 'f32') return strings.methods.wantsF32(model.weights);
  return model === null || models.includes(model.kind) ? '' : say(model.name, kinds[model.kind], models.map((kind) => kinds[kind]).join(', '));
}

export const matches = ({ name, slug, summary, goodFor, paper }: MethodCard, text: string) => `${name} ${slug} ${summary} ${goodFor} ${paper.authors} ${paper.title} ${paper.year}`.toLowerCase().includes(text.trim().toLowerCase());
