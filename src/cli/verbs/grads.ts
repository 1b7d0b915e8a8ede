// lowrank grads: loss and the gradient of every adapter tensor on given tokens, under PEFT's key names.
import { writeFile } from 'node:fs/promises';
import { Graph } from '../../engine/tensor/graph';
import { compile } from '../../engine/tensor/step';
import type { Tensor } from '../../engine/tensor/tensor';
import { type NewTensor, writeSafetensors } from '../../formats/safetensors';
import { batchTensors, callOf, hostInputs } from '../../training/task';
import { callModel, lossOf } from '../../training/task-loss';
import { need, parse } from '../options';
import { createOutput } from '../output';
import { attachFolders, loadFolder, openDevice, readTokens } from '../session';
import { taskOfAdapters } from '../task';

export async function grads(args: readonly string[]): Promise<number> {
  const { values: v } = parse('grads', args, { model: 'text', adapter: 'text', tokens: 'text', out: 'text' });
  const output = createOutput(v.json ?? false);
  const [model, adapter, tokens, out] = [need('grads', 'model', v.model), need('grads', 'adapter', v.adapter), need('grads', 'tokens', v.tokens), need('grads', 'out', v.out)];
  const device = await openDevice(v['adapter-backend'], output);
  const loaded = await loadFolder(device, model, output, await taskOfAdapters([adapter], output));
  const batch = readTokens(tokens, loaded);
  const { attachment: { adapters, heads, params }, bound } = await attachFolders(device, loaded, [adapter], output);
  // A plain LoRA under PEFT's names, any other method's parameters under their own.
  const trained = bound
    ? params.filter((p) => p.trainable).map((p) => ({ key: p.name, tensor: p.tensor }))
    : [...adapters].flatMap(([site, own]) => [['lora_A', own.params.A0], ['lora_B', own.params.B0]].map(([part, p]) => ({ key: `base_model.model.${site}.${part}.weight`, tensor: (p as { tensor: Tensor }).tensor })));
  if (!bound) for (const [name, t] of heads) trained.push({ key: `base_model.model.${name}`, tensor: t });
  const inputs = batchTensors(loaded, batch.shape, batch.attention_mask !== undefined);
  const graph = new Graph();
  const { loss, gradients } = graph.record(() => {
    const { loss } = lossOf(loaded, callModel(loaded, adapters, callOf(inputs, { training: true, heads }), bound), inputs.labels);
    return { loss, gradients: graph.grad(loss, trained.map((t) => t.tensor)) };
  });
  const step = await compile(device, graph, { keep: [loss, ...gradients] });
  step.run(hostInputs(inputs, batch));
  const lossValue = await step.read(loss);
  const tensors: NewTensor[] = [{ name: 'loss', dtype: 'F32', shape: [1], data: lossValue }];
  for (const [i, { key, tensor: t }] of trained.entries()) tensors.push({ name: `grad.${key}`, dtype: 'F32', shape: [...t.shape], data: await step.read(gradients[i] as Tensor) });
  await writeFile(out, writeSafetensors(tensors, { format: 'pt' }));
  output.event({ event: 'grads', loss: lossValue[0], tensors: trained.length, out }, `loss ${lossValue[0]?.toFixed(6)}, gradients of ${trained.length} tensors in ${out}`);
  return 0;
}
