// lowrank inspect: what is in a model, an adapter or a safetensors file. Needs no GPU.
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { lowRankSingularValues } from '../../engine/linalg/host/svd';
import { type LoraModule, readPeft } from '../../formats/peft';
import { type Weights, openSafetensors } from '../../formats/safetensors';
import { CheckpointError } from '../../util/errors';
import { fileSource, folderSources } from '../files';
import { UsageError, parse } from '../options';
import { type Output, bytesText, createOutput } from '../output';
import { describeFolder } from '../session';
import type { LoadedModel } from '../../training/loaded';

export async function inspect(args: readonly string[]): Promise<number> {
  const { values: v, positionals } = parse('inspect', args, {}, 1);
  const output = createOutput(v.json ?? false);
  const path = positionals[0];
  if (path === undefined) throw new UsageError('inspect: give a path');
  const found = await stat(path).catch(() => { throw new CheckpointError(`${path}: there is no such file or directory`, 'Check the path.'); });
  const isAdapterFile = found.isFile() && path.endsWith('adapter_model.safetensors');
  if (path.endsWith('.gguf')) {
    showModel(await describeFolder(path, output), output);
    return 0;
  }
  if (found.isFile() && !isAdapterFile) {
    showFile(await openSafetensors(await fileSource(path)), output);
    return 0;
  }
  const folder = found.isFile() ? dirname(path) : path;
  const files = await folderSources(folder);
  if (files.has('adapter_config.json')) {
    const adapter = await readPeft(files);
    for (const note of adapter.notes) output.note(note);
    for (const module of adapter.modules) showModule(module, output);
    for (const { name, shape } of adapter.saved) output.event({ event: 'whole', name, shape }, `${name.padEnd(48)} trained whole [${shape.join(', ')}]`);
    const parameters = adapter.modules.reduce((sum, m) => sum + m.A.length + m.B.length + (m.bias?.length ?? 0), 0) + adapter.saved.reduce((sum, w) => sum + w.data.length, 0);
    output.event({ event: 'adapter', modules: adapter.modules.length, parameters, base: adapter.baseModel, task: adapter.taskType }, `${adapter.modules.length} modules, ${parameters} parameters, base ${adapter.baseModel ?? 'not named'}`);
  } else if (files.has('config.json')) {
    showModel(await describeFolder(folder, output), output);
  } else if (files.has('checkpoint.safetensors')) showFile(await openSafetensors(await fileSource(`${folder}/checkpoint.safetensors`)), output);
  else throw new CheckpointError(`${path}: neither a model (config.json) nor an adapter (adapter_config.json)`, 'Give such a folder, or a .safetensors file.');
  return 0;
}

function showModel(loaded: LoadedModel, output: Output): void {
  showFile(loaded.folder.weights, output);
  const { model, task, info, network } = loaded;
  const runtimeClass = model.classes[task.kind];
  output.event({ event: 'model', class: runtimeClass, task: task.kind, parameters: network.parameters, ...info, sites: [...network.sites.values()].map(({ name, shape }) => ({ name, shape })) }, `${runtimeClass}: ${network.parameters} parameters, ${info.layers} layers, hidden ${info.hidden}, vocabulary ${info.vocab}, context ${info.context}`);
}

function showFile(file: Weights & { metadata?: Readonly<Record<string, string>> }, output: Output): void {
  for (const { name, dtype, shape, begin, end } of file.entries) output.event({ event: 'tensor', name, dtype, shape, bytes: end - begin }, `${name.padEnd(64)} ${dtype.padEnd(5)} [${shape.join(', ')}]`);
  const bytes = file.entries.reduce((sum, e) => sum + e.end - e.begin, 0);
  output.event({ event: 'file', name: file.name, tensors: file.entries.length, bytes, metadata: file.metadata }, `${file.name}: ${file.entries.length} tensors, ${bytesText(bytes)}`);
}

function showModule({ name, rank, scale, A, B, inn, out }: LoraModule, output: Output): void {
  const values = [...lowRankSingularValues(A, B, rank, scale)];
  const frobenius = Math.hypot(...values);
  output.event({ event: 'module', name, rank, scale, shape: [out, inn], singular_values: values, frobenius }, `${name.padEnd(48)} rank ${rank}  scale ${scale}  ‖ΔW‖ ${frobenius.toPrecision(4)}  σ ${values.map((x) => x.toPrecision(3)).join(' ')}`);
}
