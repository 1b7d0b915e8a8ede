// Reads what a kernel binds out of its WGSL text: storage bindings, the Params struct, overrides and tunable constants.
// Safe by regular expression because shaders keep to the subset of docs/kernels.md; a test checks it against the compiler.
import { BindingError } from '../../util/errors';

export type Scalar = 'u32' | 'i32' | 'f32';
export interface Binding {
  readonly name: string;
  readonly slot: number;
  readonly access: 'read' | 'read_write';
}
export interface Reflection {
  readonly bindings: readonly Binding[];
  readonly params: readonly { readonly name: string; readonly type: Scalar }[];
  readonly overrides: Readonly<Record<string, number>>;
  readonly constants: readonly string[];
  readonly usesStep: boolean;
}

/** `#include "common/x.wgsl"` lines replaced by the file's text, each file once. */
export function expandIncludes(path: string, source: string, includes: Readonly<Record<string, string>>, seen = new Set<string>()): string {
  return source.replace(/^#include "([^"]+)"$/gm, (_, name: string) => {
    if (seen.has(name)) return '';
    seen.add(name);
    const text = includes[name];
    if (text === undefined) throw new BindingError(`${path}: includes '${name}', which is not in shaders/`);
    return expandIncludes(name, text, includes, seen);
  });
}

const stripComments = (source: string) => source.replace(/\/\/.*$|\/\*[\s\S]*?\*\//gm, '');

/** `source` with includes expanded. Throws a BindingError that names the path and what is outside the subset. */
export function reflect(path: string, source: string): Reflection {
  const code = stripComments(source);
  const bindings: Binding[] = [];
  for (const [, group, slot, space, name, type] of code.matchAll(/@group\((\d+)\)\s*@binding\((\d+)\)\s*var<([^>]+)>\s*(\w+)\s*:\s*([^;]+);/g)) {
    const [kind, access = 'read'] = (space ?? '').split(',').map((part) => part.trim());
    if (group === '0' && kind === 'storage' && name && (access === 'read' || access === 'read_write')) {
      bindings.push({ name, slot: Number(slot), access });
    } else if (!(kind === 'uniform' && ((group === '1' && type?.trim() === 'Params') || (group === '2' && type?.trim() === 'StepScalars')))) {
      throw new BindingError(`${path}: '${name}' is bound as group ${group}, ${space}; tensors go to group 0, Params to 1, StepScalars to 2`);
    }
  }
  bindings.sort((a, b) => a.slot - b.slot);
  bindings.forEach((binding, i) => {
    if (binding.slot !== i) throw new BindingError(`${path}: bindings of group 0 must count 0, 1, 2 …; '${binding.name}' has ${binding.slot}`);
  });

  const declared = code.match(/\bvar<(storage|uniform)\b/g)?.length ?? 0;
  const understood = bindings.length + (code.match(/@group\([12]\)\s*@binding\(0\)\s*var<uniform>/g)?.length ?? 0);
  if (declared !== understood) throw new BindingError(`${path}: ${declared} storage and uniform variables, of which ${understood} read '@group(g) @binding(b) var<…> name: type;'`);

  const fields = code.match(/struct Params\s*\{([^}]*)\}/)?.[1] ?? '';
  if (fields.includes('@')) throw new BindingError(`${path}: Params has attributes; its scalars stand four bytes apart, in order`);
  const params = [...fields.matchAll(/(\w+)\s*:\s*([\w<>]+)/g)].map(([, name, type]) => {
    if (type !== 'u32' && type !== 'i32' && type !== 'f32') throw new BindingError(`${path}: Params.${name} is ${type}; only u32, i32 and f32 may stand there`);
    return { name: name as string, type: type as Scalar };
  });
  const overrides: Record<string, number> = {};
  for (const [, name, value] of code.matchAll(/^override (\w+)(?:\s*:\s*\w+)?\s*=\s*([^;]+);/gm)) {
    const number = value === 'true' ? 1 : value === 'false' ? 0 : Number.parseFloat(value as string);
    if (!Number.isFinite(number)) throw new BindingError(`${path}: override ${name} has no plain default`);
    overrides[name as string] = number;
  }
  const constants = [...source.matchAll(/^const (\w+)[^;]*;\s*\/\/ tunable/gm)].map(([, name]) => name as string);
  return { bindings, params, overrides, constants, usesStep: /@group\(2\)/.test(code) };
}

/** The text with `const NAME … = value; // tunable` lines set. Register tiles need consts: an override may not size a private array. */
export function withConstants(path: string, source: string, values: Readonly<Record<string, number>>): string {
  let text = source;
  for (const [name, value] of Object.entries(values)) {
    const line = new RegExp(`^const ${name}(\\s*:\\s*(\\w+))?\\s*=[^;]*;\\s*// tunable`, 'm');
    if (!line.test(text)) throw new BindingError(`${path}: there is no tunable constant '${name}'`);
    text = text.replace(line, (_, typed: string | undefined, type: string | undefined) => `const ${name}${typed ?? ''} = ${value}${type === 'f32' ? 'f' : type === 'u32' ? 'u' : ''};`);
  }
  return text;
}
