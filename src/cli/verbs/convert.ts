// lowrank convert: an adapter in another format, whole or cut to a rank or a share of energy. Needs no GPU.
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readJson } from '../../formats/folder';
import { type GgufBase, writeGgufAdapter } from '../../formats/gguf-adapter';
import { writeKohya } from '../../formats/kohya';
import { type LoraModule, type PeftAdapter, readPeft, writePeft } from '../../formats/peft';
import { modelFor } from '../../models/registry';
import { keepEnergy, keepRank } from '../../training/cut';
import { cutError, cutModule, decompose, withOneAlpha } from '../../training/truncate';
import { ConfigError } from '../../util/errors';
import { fileSource, folderSources } from '../files';
import { UsageError, need, parse } from '../options';
import { bytesText, createOutput } from '../output';

const FORMATS = ['peft', 'gguf', 'kohya'] as const;

export async function convert(args: readonly string[]): Promise<number> {
  const { values: v } = parse('convert', args, { adapter: 'text', to: 'text', out: 'text', rank: 'number', energy: 'number', model: 'text' });
  const output = createOutput(v.json ?? false);
  const [from, to, out] = [need('convert', 'adapter', v.adapter), need('convert', 'to', v.to), need('convert', 'out', v.out)];
  if (!(FORMATS as readonly string[]).includes(to)) throw new UsageError(`convert: --to is ${FORMATS.join(', ')}, got '${to}'`);
  if (v.rank !== undefined && v.energy !== undefined) throw new UsageError('convert: give either --rank or --energy');
  if (v.rank !== undefined && !(Number.isInteger(v.rank) && v.rank >= 1)) throw new UsageError(`convert: --rank wants a whole number from 1 on, got ${v.rank}`);
  if (v.energy !== undefined && !(v.energy > 0 && v.energy <= 1)) throw new UsageError(`convert: --energy wants a share above 0, at most 1, got ${v.energy}`);
  if (resolve(out) === resolve(from)) throw new UsageError('convert: --out is the adapter itself, which would be overwritten');

  const adapter = await readPeft(await folderSources(from));
  for (const note of adapter.notes) output.note(note);
  const { modules, error } = v.rank === undefined && v.energy === undefined ? { modules: adapter.modules, error: 0 } : cut(adapter.modules, v);
  const files = await written(to, adapter, modules, v.model);
  const single = files.length === 1 ? files[0] : undefined;
  if (single) await replace(out, single.bytes);
  else for (const { name, bytes } of files) await replace(join(out, name), bytes);

  const kept = modules.filter((m) => m.rank > 0);
  for (const [i, { name, rank }] of modules.entries()) output.event({ event: 'module', name, rank, of: adapter.modules[i]?.rank }, `${name.padEnd(48)} rank ${rank} of ${adapter.modules[i]?.rank}`);
  const parameters = kept.reduce((sum, m) => sum + m.A.length + m.B.length, 0);
  const bytes = files.reduce((sum, file) => sum + file.bytes.length, 0);
  output.event(
    { event: 'convert', to, out, modules: kept.length, dropped: modules.filter((m) => m.rank === 0).map((m) => m.name), parameters, bytes, error, files: single ? [out] : files.map((file) => join(out, file.name)) },
    `${kept.length} modules, ${parameters} parameters, ${bytesText(bytes)} as ${to} in ${out}${error > 0 ? `; the cut leaves out ${(100 * error).toPrecision(3)} % of ‖ΔW‖` : ''}`,
  );
  return 0;
}

function cut(modules: readonly LoraModule[], { rank, energy }: { rank?: number; energy?: number }): { modules: LoraModule[]; error: number } {
  const spectra = modules.map(decompose);
  const keep = spectra.map(({ sigma }) => (rank === undefined ? keepEnergy(sigma, energy as number) : keepRank(sigma, rank)));
  return { modules: withOneAlpha(modules.map((module, i) => cutModule(module, spectra[i] as (typeof spectra)[number], keep[i] as number))), error: cutError(spectra, keep) };
}

async function written(to: string, adapter: PeftAdapter, modules: readonly LoraModule[], model: string | undefined): Promise<{ name: string; bytes: Uint8Array }[]> {
  if (to !== 'peft' && adapter.saved.length > 0) throw new ConfigError(`convert: the adapter holds ${adapter.saved[0]?.name} whole, which ${to} has no place for`, 'Convert it to peft.');
  if (to === 'gguf') return [{ name: 'adapter.gguf', bytes: writeGgufAdapter(modules, await baseOf(adapter, model)) }];
  if (to === 'kohya') return [{ name: 'adapter.safetensors', bytes: writeKohya(modules) }];
  const { auto_mapping, lora_dropout, revision } = adapter.config;
  return writePeft({ modules, saved: adapter.saved, baseModel: adapter.baseModel, taskType: adapter.taskType, extra: { auto_mapping, lora_dropout, revision } }).files;
}

/** Names, and the heads by which llama.cpp orders rotary rows, stand in the base model's config.json. */
async function baseOf({ baseModel }: PeftAdapter, given: string | undefined): Promise<GgufBase> {
  const folder = given ?? (baseModel !== '' && (await isFile(join(baseModel, 'config.json'))) ? baseModel : undefined);
  if (folder === undefined) throw new ConfigError(`GGUF: the adapter names its base ${JSON.stringify(baseModel)}, which is no folder here`, 'Give the folder of the base model with --model; only its config.json is read.');
  const json = await readJson(await fileSource(join(folder, 'config.json')));
  const language = modelFor(json);
  const { heads, kvHeads } = language.info(language.parse(json));
  return { architecture: language.classes['causal-lm'] ?? language.id, heads, kvHeads };
}

const isFile = (path: string) => stat(path).then((found) => found.isFile(), () => false);

/** Written beside and then renamed: what stood there stays whole until the new file is. */
async function replace(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(resolve(path)), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, bytes);
  await rename(part, path);
}
