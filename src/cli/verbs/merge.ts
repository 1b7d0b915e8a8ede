// lowrank merge: the model with the adapter folded into its weights, as a Hugging Face folder.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mergedWeights } from '../../training/export';
import { labelsOf } from '../../models/model';
import type { LoadedModel } from '../../training/loaded';
import { UsageError, need, parse } from '../options';
import { bytesText, createOutput } from '../output';
import { attachFolders, loadFolder, openDevice } from '../session';
import { modelSources } from '../sources';
import { taskOfAdapters } from '../task';

/** Files of the base that the merged model needs as they are. */
const COPIED = /^(tokenizer.*\.json|special_tokens_map\.json|generation_config\.json|chat_template\.jinja|vocab\..*|merges\.txt)$/;

export async function merge(args: readonly string[]): Promise<number> {
  const { values: v } = parse('merge', args, { model: 'text', adapter: 'text', out: 'text', dtype: 'text' });
  const output = createOutput(v.json ?? false);
  const [model, adapter, out] = [need('merge', 'model', v.model), need('merge', 'adapter', v.adapter), need('merge', 'out', v.out)];
  const dtype = v.dtype ?? 'f32';
  if (dtype !== 'f32' && dtype !== 'f16') throw new UsageError(`merge: --dtype is f32 or f16, got '${dtype}'`);
  const device = await openDevice(v['adapter-backend'], output);
  const loaded = await loadFolder(device, model, output, await taskOfAdapters([adapter], output));
  const { attachment: { adapters, heads } } = await attachFolders(device, loaded, [adapter], output);
  const weights = await mergedWeights(device, loaded, adapters, dtype === 'f32' ? 'F32' : 'F16', heads);
  await mkdir(out, { recursive: true });
  const name = dtype === 'f32' ? 'float32' : 'float16';
  await writeFile(join(out, 'model.safetensors'), weights);
  await writeFile(join(out, 'config.json'), `${JSON.stringify({ ...(loaded.folder.config as object), ...classOf(loaded), torch_dtype: name, dtype: name }, null, 2)}\n`);
  const copied = [...(await modelSources(model, output))].filter(([file]) => COPIED.test(file));
  for (const [file, source] of copied) await writeFile(join(out, file), await source.read(0, source.size));
  // A GGUF file keeps its tokenizer inside.
  const inside = { 'tokenizer.json': loaded.folder.tokenizer, 'tokenizer_config.json': loaded.folder.tokenizerConfig };
  for (const [file, content] of Object.entries(inside)) if (content !== null && !copied.some(([name]) => name === file)) await writeFile(join(out, file), `${JSON.stringify(content)}\n`);
  output.event({ event: 'merge', out, dtype, modules: adapters.size, bytes: weights.length }, `${adapters.size} modules merged into ${join(out, 'model.safetensors')} (${dtype}, ${bytesText(weights.length)})`);
  return 0;
}

/** What config.json says of the task: the class, and the names of its classes. */
function classOf({ model, task }: LoadedModel): object {
  const architectures = [model.classes[task.kind]];
  const labels = labelsOf(task);
  if (!labels) return { architectures };
  return { architectures, id2label: Object.fromEntries(labels.map((label, i) => [i, label])), label2id: Object.fromEntries(labels.map((label, i) => [label, i])) };
}
