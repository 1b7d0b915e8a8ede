// lowrank sample: writes on from a prompt.
import { Generator, promptIds } from '../../training/generate';
import { taskCard } from '../../training/tasks';
import { ConfigError } from '../../util/errors';
import { need, parse, weightsOf } from '../options';
import { createOutput } from '../output';
import { attachFolders, loadFolder, openDevice } from '../session';

export async function sample(args: readonly string[]): Promise<number> {
  const { values: v } = parse('sample', args, { model: 'text', adapter: 'list', prompt: 'text', max: 'number', temperature: 'number', 'top-p': 'number', 'top-k': 'number', stop: 'list', seed: 'number', weights: 'text' });
  const output = createOutput(v.json ?? false);
  const prompt = need('sample', 'prompt', v.prompt);
  const max = v.max ?? 64;
  const device = await openDevice(v['adapter-backend'], output);
  const loaded = await loadFolder(device, need('sample', 'model', v.model), output, undefined, weightsOf('sample', v.weights));
  if (!taskCard(loaded.task.kind).writes) throw new ConfigError(`${loaded.name}: ${loaded.model.classes[loaded.task.kind]} writes no text`, 'Sampling wants a causal language model.');
  const { attachment: { adapters }, bound } = await attachFolders(device, loaded, v.adapter ?? [], output);
  const ids = await promptIds(loaded, prompt, false);
  const generator = await Generator.create(device, loaded, adapters, ids.length + max, bound);
  const live = !v.json && process.stdout.isTTY === true;
  let text = '';
  const written = await generator.generate(ids, { maxTokens: max, temperature: v.temperature ?? 0, topP: v['top-p'] ?? 1, topK: v['top-k'] ?? 0, stop: v.stop ?? [], seed: v.seed ?? 0, onText: (piece) => {
      text += piece;
      if (live) process.stdout.write(piece);
    } });
  output.event({ event: 'sample', prompt, text, tokens: written.length, ids: written }, live ? '' : text);
  return 0;
}
