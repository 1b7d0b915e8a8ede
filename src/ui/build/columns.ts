// Roles that go together, so that every choice of a column leaves a mapping that means something or lacks one part.
import type { Columns } from '../../store/contract';

export type Role = keyof Columns;
const FORMS: readonly (readonly Role[])[] = [['messages'], ['prompt', 'context', 'completion', 'system'], ['text', 'second', 'label'], ['text', 'second', 'score'], ['tokens', 'tags'], ['image', 'label'], ['image', 'caption']];

/** The mapping with this column in this role; roles of another form make way. */
export function withRole(columns: Columns, column: string, role: Role | null): Columns {
  const others = Object.entries(columns).filter(([other, name]) => name !== column && other !== role);
  const having = FORMS.filter((roles) => role !== null && roles.includes(role));
  // Of several forms with this role the one that keeps most of the others.
  const shared = (roles: readonly Role[]) => others.filter(([other]) => roles.includes(other as Role)).length;
  const form = having.sort((a, b) => shared(b) - shared(a))[0];
  const kept = form ? others.filter(([other]) => form.includes(other as Role)) : others;
  return Object.fromEntries(role === null ? kept : [...kept, [role, column]]);
}

/** The role that the mapping still lacks; null when it is whole. `pairs`: two texts are wanted, and no label. */
export function missingRole(columns: Columns, pairs = false): Role | null {
  const has = (role: Role) => columns[role] !== undefined;
  if (has('messages')) return null;
  if (has('tokens') || has('tags')) return has('tokens') ? (has('tags') ? null : 'tags') : 'tokens';
  if (has('image') || has('caption')) return has('image') ? (has('label') || has('caption') ? null : 'label') : 'image';
  if (has('prompt') || has('completion') || has('system') || has('context')) return has('prompt') ? (has('completion') ? null : 'completion') : 'prompt';
  if (!has('text')) return 'text';
  if (pairs || has('score')) return has('second') ? null : 'second';
  return has('second') && !has('label') ? 'label' : null;
}
