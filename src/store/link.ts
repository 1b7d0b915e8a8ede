// A setup as the hash of the address: only what differs from the defaults, and never the data.
// `#v1&m=tale-1m&d=king-james&a=sora&a.rank=8&t.steps=400`
import { parseRunConfig } from '../training/config';
import { defaultRun, type RunConfig } from './contract';

type Plain = Record<string, unknown>;
/** Short names for the parts of a RunConfig that nest. */
const SECTIONS = { t: 'training', s: 'sample' } as const;

export function toHash(config: RunConfig): string {
  const parts = ['v1'];
  const add = (key: string, value: unknown) => parts.push(`${key}=${encodeURIComponent(String(value))}`);
  const source = (key: string, given: RunConfig['model'] | RunConfig['data']) => (given.kind === 'builtin' ? add(key, given.id) : add(`${key}${given.kind === 'hub' ? 'h' : 'f'}`, given.name));
  source('m', config.model);
  source('d', config.data);
  add('a', config.method.slug);
  for (const [name, value] of Object.entries(config.method.fields)) add(`a.${name}`, value);
  if (config.targets !== '') add('on', config.targets);
  if (config.name !== '') add('n', config.name);
  if (config.holdout !== defaultRun.holdout) add('h', config.holdout);
  if (config.test) add('ht', config.test);
  for (const [role, column] of Object.entries(config.columns ?? {})) add(`c.${role}`, column);
  if (config.pack) add('pack', 1);
  if (config.task !== defaultRun.task) add('k', config.task);
  if (config.template !== undefined) add('kt', config.template);
  if (config.scale !== undefined) add('ks', config.scale);
  if (config.symmetric) add('ky', 1);
  if (config.weights !== undefined) add('w', config.weights);
  for (const [short, section] of Object.entries(SECTIONS)) {
    const defaults = defaultRun[section] as Plain;
    for (const [name, value] of Object.entries(config[section])) if (value !== defaults[name]) add(`${short}.${name}`, value);
  }
  return `#${parts.join('&')}`;
}

/** The setup that a hash describes, or null where there is none. Throws a ConfigError that names the first wrong part. */
export function fromHash(hash: string): RunConfig | null {
  const [version, ...parts] = hash.replace(/^#/, '').split('&');
  if (version !== 'v1') return null;
  const config = structuredClone(defaultRun) as unknown as Plain & { method: { slug: string; fields: Plain }; training: Plain; sample: Plain };
  for (const part of parts) {
    const at = part.indexOf('=');
    if (at < 0) continue;
    const key = part.slice(0, at);
    const text = decoded(part.slice(at + 1));
    const dot = key.indexOf('.');
    if (key === 'm') config.model = { kind: 'builtin', id: text };
    else if (key === 'mf') config.model = { kind: 'files', name: text };
    else if (key === 'd') config.data = { kind: 'builtin', id: text };
    else if (key === 'df') config.data = { kind: 'file', name: text };
    else if (key === 'mh') config.model = { kind: 'hub', name: text };
    else if (key === 'dh') config.data = { kind: 'hub', name: text };
    else if (key === 'a') config.method.slug = text;
    else if (key === 'on') config.targets = text;
    else if (key === 'n') config.name = text;
    else if (key === 'k') config.task = text;
    else if (key === 'kt') config.template = text;
    else if (key === 'ks') config.scale = Number(text);
    else if (key === 'ky') config.symmetric = true;
    else if (key === 'w') config.weights = text;
    else if (key === 'h') config.holdout = Number(text);
    else if (key === 'ht') config.test = Number(text);
    else if (key === 'pack') config.pack = true;
    else if (key.startsWith('c.')) config.columns = { ...(config.columns as Plain), [key.slice(2)]: text };
    else if (key.startsWith('a.')) config.method.fields[key.slice(2)] = fieldValue(text);
    else if (dot > 0) {
      const short = key.slice(0, dot);
      const section = short === 't' || short === 's' ? SECTIONS[short] : null;
      const name = key.slice(dot + 1);
      if (section && Object.hasOwn(config[section], name)) config[section][name] = typeof config[section][name] === 'number' ? Number(text) : text;
    }
  }
  return parseRunConfig(config);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A field's value as written by `String`: a number, true or false, or a choice. */
function fieldValue(text: string): number | boolean | string {
  if (text === 'true' || text === 'false') return text === 'true';
  const number = Number(text);
  return text.trim() !== '' && Number.isFinite(number) ? number : text;
}
