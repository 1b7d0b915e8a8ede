// The command line's flags: declared once, checked by name, turned into numbers.
import { parseArgs } from 'node:util';
import { WEIGHT_KINDS, type WeightKind } from '../util/packed';

/** Wrong use of the command line: exit code 2. */
export class UsageError extends Error {}

export type FlagKind = 'text' | 'number' | 'flag' | 'list';
export type Flags = Readonly<Record<string, FlagKind>>;
type Values<F extends Flags> = { [K in keyof F]?: F[K] extends 'number' ? number : F[K] extends 'flag' ? boolean : F[K] extends 'list' ? string[] : string };

/** Every verb has these. */
const common = { json: 'flag', 'adapter-backend': 'text' } as const satisfies Flags;

export interface Parsed<F extends Flags> {
  readonly values: Values<F & typeof common>;
  readonly positionals: readonly string[];
}

export function parse<F extends Flags>(verb: string, args: readonly string[], flags: F, positionals = 0): Parsed<F> {
  const all: Flags = { ...flags, ...common };
  const options = Object.fromEntries(Object.entries(all).map(([name, kind]) => [name, { type: kind === 'flag' ? ('boolean' as const) : ('string' as const), multiple: kind === 'list' }]));
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: positionals > 0, strict: true });
  } catch (error) {
    throw new UsageError(`${verb}: ${(error as Error).message}`);
  }
  if (parsed.positionals.length > positionals) throw new UsageError(`${verb}: '${parsed.positionals[positionals]}' is one argument too many`);
  const values = Object.fromEntries(Object.entries(parsed.values).map(([name, value]) => [name, all[name] === 'number' ? numberOf(verb, name, String(value)) : value]));
  return { values: values as Values<F & typeof common>, positionals: parsed.positionals };
}

function numberOf(verb: string, name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`${verb}: --${name} wants a number, got '${text}'`);
  return value;
}

/** The value of a flag that must be there. */
export function need<T>(verb: string, name: string, value: T | undefined): T {
  if (value === undefined) throw new UsageError(`${verb}: --${name} is missing`);
  return value;
}

/** How frozen weights are kept, by --weights; f32 where it is not given. */
export function weightsOf(verb: string, text = 'f32'): WeightKind {
  const kind = WEIGHT_KINDS.find((name) => name === text);
  if (!kind) throw new UsageError(`${verb}: --weights ${text}: weights are kept as ${WEIGHT_KINDS.join(', ')}`);
  return kind;
}

/** `key=value` pairs with numbers and booleans read as such. */
export function pairs(verb: string, settings: readonly string[]): Record<string, number | boolean | string> {
  return Object.fromEntries(settings.map((setting) => {
    const at = setting.indexOf('=');
    if (at < 1) throw new UsageError(`${verb}: --set wants key=value, got '${setting}'`);
    const text = setting.slice(at + 1);
    const value = text === 'true' || text === 'false' ? text === 'true' : text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
    return [setting.slice(0, at), value];
  }));
}
