// DyLoRA: does one run serve every rank about as well as a LoRA trained at that rank, where a LoRA of rank 8 falls apart when cut?
// The paper trains encoders on GLUE and GPT-2; here a small decoder learns a text of another style.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const RANKS = [1, 2, 4, 8];
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [1e-3, 3e-3, 9e-3],
  arms: [
    { name: 'DyLoRA pair b', method: 'dylora', fields: {} },
    { name: 'DyLoRA pairs 1 … b', method: 'dylora', fields: { update: 'prefix' } },
    ...RANKS.map((rank) => ({ name: `LoRA r ${rank}`, method: 'lora', fields: { rank, alpha: 16 } })),
  ],
  columns: RANKS.map((rank) => `loss_${rank}`),
  /** Test loss of the exported adapter cut to each rank that it has. */
  async measure({ dir, lowrank, files, arm }) {
    const losses = {};
    for (const rank of RANKS.filter((r) => r <= (arm.fields.rank ?? 8))) {
      const cut = await cutTo(dir, rank, arm.method === 'dylora');
      losses[`loss_${rank}`] = (await lowrank('eval', '--model', claim.model, '--adapter', cut, '--data', files.test, '--batch', claim.batch, '--seq', claim.seq)).at(-1).loss;
    }
    return losses;
  },
};

/** The first `rank` rows of every A and columns of every B, as an adapter of its own; alpha / rank, or the scale of the whole. */
async function cutTo(dir, rank, byRank) {
  const out = join(dir, `rank-${rank}`);
  await mkdir(out, { recursive: true });
  const config = JSON.parse(await readFile(join(dir, 'adapter_config.json'), 'utf8'));
  const bytes = await readFile(join(dir, 'adapter_model.safetensors'));
  const size = Number(bytes.readBigUInt64LE(0));
  const { __metadata__, ...tensors } = JSON.parse(bytes.toString('utf8', 8, 8 + size));
  const header = { __metadata__ };
  const parts = [];
  let at = 0;
  for (const [name, { dtype, shape: [rows, columns], data_offsets: [from, to] }] of Object.entries(tensors)) {
    const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset + 8 + size + from, bytes.byteOffset + 8 + size + to));
    const isA = name.includes('lora_A');
    const kept = isA ? data.slice(0, rank * columns) : data.filter((_, i) => i % columns < rank);
    header[name] = { dtype, shape: isA ? [rank, columns] : [rows, rank], data_offsets: [at, at + kept.byteLength] };
    parts.push(Buffer.from(kept.buffer));
    at += kept.byteLength;
  }
  const text = JSON.stringify(header);
  const head = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  await writeFile(join(out, 'adapter_model.safetensors'), Buffer.concat([length, head, ...parts]));
  await writeFile(join(out, 'adapter_config.json'), JSON.stringify({ ...config, r: rank, lora_alpha: byRank ? config.lora_alpha : (config.lora_alpha * rank) / config.r }));
  return out;
}
