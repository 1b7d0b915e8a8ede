// The fields of a method: one declaration types its config, validates it, and builds its controls on the page.
import { ConfigError } from '../util/errors';

interface FieldBase {
  readonly label: string;
  /** One sentence for the tooltip. */
  readonly help: string;
  /** Where the default comes from, e.g. 'Ding et al. 2023, section 4'. */
  readonly source?: string;
}
export interface IntField extends FieldBase { readonly kind: 'int'; readonly default: number; readonly min: number; readonly max: number; readonly log?: boolean }
export interface FloatField extends FieldBase { readonly kind: 'float'; readonly default: number; readonly min: number; readonly max: number; readonly log?: boolean }
export interface BoolField extends FieldBase { readonly kind: 'bool'; readonly default: boolean }
export interface ChoiceField extends FieldBase { readonly kind: 'choice'; readonly default: string; readonly options: readonly { readonly value: string; readonly label: string }[] }
export type Field = IntField | FloatField | BoolField | ChoiceField;
export type Fields = Readonly<Record<string, Field>>;
export type FieldValue = number | boolean | string;

/** The config that a set of fields describes: `{ rank: IntField }` gives `{ rank: number }`. */
export type ConfigOf<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends BoolField ? boolean : F[K] extends ChoiceField ? string : number;
};

/** Defaults filled in, every value checked. Unknown names and values out of range are refused by name. */
export function resolveFields<F extends Fields>(where: string, fields: F, given: Readonly<Record<string, unknown>>): ConfigOf<F> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(fields, name)) {
      throw new ConfigError(`${where}: there is no field '${name}'`, `The fields are: ${Object.keys(fields).join(', ')}.`);
    }
  }
  const config: Record<string, FieldValue> = {};
  for (const [name, field] of Object.entries(fields)) {
    config[name] = given[name] === undefined ? field.default : checkField(`${where}.${name}`, field, given[name]);
  }
  return config as ConfigOf<F>;
}

function checkField(where: string, field: Field, value: unknown): FieldValue {
  switch (field.kind) {
    case 'bool':
      if (typeof value !== 'boolean') throw new ConfigError(`${where}: wanted true or false, got ${JSON.stringify(value)}`);
      return value;
    case 'choice':
      if (!field.options.some((option) => option.value === value)) {
        throw new ConfigError(`${where}: ${JSON.stringify(value)} is no choice`, `Choose one of: ${field.options.map((o) => o.value).join(', ')}.`);
      }
      return value as string;
    default: {
      const range = `Give a value from ${field.min} to ${field.max}.`;
      if (typeof value !== 'number' || !Number.isFinite(value) || (field.kind === 'int' && !Number.isInteger(value))) {
        throw new ConfigError(`${where}: wanted ${field.kind === 'int' ? 'a whole number' : 'a number'}, got ${typeof value === 'number' ? value : JSON.stringify(value)}`, range);
      }
      if (value < field.min || value > field.max) throw new ConfigError(`${where}: ${value} is out of range`, range);
      return value;
    }
  }
}
