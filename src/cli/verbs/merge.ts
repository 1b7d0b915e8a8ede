// lowrank merge: the model with the adapter folded into its weights, as a Hugging Face folder.
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mergedWeights } from '../../training/export';
import { UsageError, need, parse } from '../options';
import { bytesText, createOutput } from '../output';
import { attachFolders, loadFolder, openDevice } from '../session';

/** Files of the base that the merged model needs as they are. */
const COPIED = /^(tokenizer.*\.json|special_tokens_map\.json|generation_config\.json|chat_template\.jinja|vocab\..*|merges\.txt)$/;

export async function merge(args: readonly string[]): Promise<number> {
  const { values: v } = parse('merge', args, { model: 'text', adapter: 'text', out: 'text', dtype: 'text' });
  const output = createOutput(v.json ?? false);
  const [model, adapter, out] = [need('merge', 'model', v.model), need('merge', 'adapter', v.adapter), need('merge', 'out', v.out)];
  const dtype = v.dtype ?? 'f32';
  if (dtype !== 'f32' && dtype !== 'f16') throw new UsageError(`merge: --dtype is f32 or f16, got '${dtype}'`);
  const device = await openDevice(v['adapter-backend'], output);
  const loaded = await loadFolder(device, model, output);
  const { attachment: { adapters } } = await attachFolders(device, loaded, [adapter]);
  const weights = await mergedWeights(device, loaded, adapters, dtype === 'f32' ? 'F32' : 'F16');
  await mkdir(out, { recursive: true });
  const name = dtype === 'f32' ? 'float32' : 'float16';
  await writeFile(join(out, 'model.safetensors'), weights);
  await writeFile(join(out, 'config.json'), `${JSON.stringify({ ...(loaded.folder.config as object), torch_dtype: name, dtype: name }, null, 2)}\n`);
  for (const file of await readdir(model)) if (COPIED.test(file)) await copyFile(join(model, file), join(out, file));
  output.event({ event: 'merge', out, dtype, modules: adapters.size, bytes: weights.length }, `${adapters.size} modules merged into ${join(out, 'model.safetensors')} (${dtype}, ${bytesText(weights.length)})`);
  return 0;
}
