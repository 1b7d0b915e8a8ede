// LoRA adapters under the names of kohya's scripts, which image tools read: one safetensors file, a module's path with its dots as
// underscores behind a prefix that says which part of the pipeline it stands in, and an alpha of its own.
import { bad, show } from './fail';
import type { LoraModule } from './peft';
import { type NewTensor, type SafetensorsFile, writeSafetensors } from './safetensors';

/** Path before a name here → prefix there. The names exist only for the parts of image models. */
const PARTS: readonly (readonly [RegExp, string])[] = [
  [/^unet\./, 'lora_unet_'],
  [/^(?=(?:down_blocks|mid_block|up_blocks)\.)/, 'lora_unet_'],
  [/^text_encoder_2\./, 'lora_te2_'],
  [/^text_encoder\./, 'lora_te_'],
  [/^(?=text_model\.)/, 'lora_te_'],
];

/** The module under kohya's name, null where kohya has none. */
export function kohyaName(module: string): string | null {
  const part = PARTS.find(([path]) => path.test(module));
  return part ? part[1] + module.replace(part[0], '').replaceAll('.', '_') : null;
}

export function writeKohya(modules: readonly LoraModule[]): Uint8Array<ArrayBuffer> {
  const kept = modules.filter((module) => module.rank > 0);
  if (kept.length === 0) throw bad('kohya export', 'no module has a rank above 0', `${modules.length} modules`, 'keep more of the adapter');
  // Two text encoders are counted from 1, a single one is not.
  const two = kept.some(({ name }) => kohyaName(name)?.startsWith('lora_te2_'));
  const tensors = kept.flatMap(({ name, rank, scale, A, B, inn, out }): NewTensor[] => {
    const kohya = kohyaName(name);
    if (kohya === null) throw bad('kohya export', 'kohya names the layers of image models only', show(name), 'export as PEFT instead');
    const key = two ? kohya.replace(/^lora_te_/, 'lora_te1_') : kohya;
    return [
      { name: `${key}.lora_down.weight`, dtype: 'F32', shape: [rank, inn], data: A },
      { name: `${key}.lora_up.weight`, dtype: 'F32', shape: [out, rank], data: B },
      { name: `${key}.alpha`, dtype: 'F32', shape: [], data: Float32Array.of(scale * rank) },
    ];
  });
  const ranks = kept.map(({ rank }) => rank);
  return writeSafetensors(tensors, {
    format: 'pt', ss_network_module: 'networks.lora', ss_network_dim: String(Math.max(...ranks)), ss_network_alpha: String(Math.max(...kept.map(({ scale, rank }) => scale * rank))), ss_network_args: '{}',
  }, 'adapter.safetensors');
}

/** The modules of such a file; `names` are those of the model, since underscores do not tell where the dots were. */
export async function readKohya(file: SafetensorsFile, names: readonly string[]): Promise<LoraModule[]> {
  const known = new Map(names.flatMap((name) => {
    const kohya = kohyaName(name);
    return kohya === null ? [] : [[kohya, name], [kohya.replace(/^lora_te_/, 'lora_te1_'), name]] as [string, string][];
  }));
  const modules: LoraModule[] = [];
  for (const { name: key, shape } of file.entries) {
    const stem = /^(.+)\.lora_down\.weight$/.exec(key)?.[1];
    if (stem === undefined) continue;
    const name = known.get(stem);
    const up = file.byName.get(`${stem}.lora_up.weight`);
    const [rank = 0, inn = 0] = shape;
    if (name === undefined) throw bad(`${file.name}: ${show(key)}`, 'the model has no such module', show(stem), 'open the base model that the adapter was trained on');
    if (up?.shape.length !== 2 || up.shape[1] !== rank) throw bad(`${file.name}: ${show(key)}`, `wants a lora_up of rank ${rank}`, up ? show(up.shape) : 'none', 'write the file again');
    const alpha = file.byName.has(`${stem}.alpha`) ? ((await file.f32(`${stem}.alpha`))[0] as number) : 0;
    // No alpha, or 0, means the rank.
    modules.push({ name, rank, scale: (alpha || rank) / rank, A: await file.f32(key), B: await file.f32(up.name), inn, out: up.shape[0] as number });
  }
  if (modules.length === 0) throw bad(file.name, 'holds no kohya LoRA', `${file.entries.length} tensors`, 'choose another file');
  return modules;
}
