// Forward passes in double precision on the host, written from the papers and the checkpoints' own names, token by token; they share no
// code with the models. Asking the store for a tensor is also what puts it into the checkpoint that the test writes.
import { normals } from '../../methods/testing/random';

type Row = number[];
type Config = Readonly<Record<string, unknown>>;
type Host = (c: Config, w: Store, ids: readonly number[], length: number, task?: string) => Row[];

export interface Stored { name: string; shape: number[]; data: Float32Array }

/** Weights by name, drawn when they are first asked for: norms about 1, biases and tables small, matrices so that signals keep their size. */
export class Store {
  readonly tensors = new Map<string, Stored>();
  constructor(private readonly seed = 1) {}

  get(name: string, shape: number[]): Float32Array {
    let found = this.tensors.get(name);
    if (!found) {
      const size = shape.reduce((a, b) => a * b, 1);
      const [mean, std] = shape.length > 1 ? [0, 1.5 / Math.sqrt(shape.at(-1) as number)] : name.endsWith('bias') ? [0, 0.2] : [1, 0.2];
      found = { name, shape, data: normals(size, `${this.seed} ${name}`, std).map((x) => x + mean) };
      this.tensors.set(name, found);
    }
    return found.data;
  }

  row(name: string, rows: number, width: number, at: number): Row {
    return [...this.get(`${name}.weight`, [rows, width]).subarray(at * width, (at + 1) * width)];
  }

  linear(x: Row, name: string, out: number, bias: boolean): Row {
    const W = this.get(`${name}.weight`, [out, x.length]);
    const b = bias ? this.get(`${name}.bias`, [out]) : null;
    return Array.from({ length: out }, (_, o) => x.reduce((sum, v, i) => sum + v * (W[o * x.length + i] as number), b?.[o] ?? 0));
  }

  layerNorm(x: Row, name: string, eps: number): Row {
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    const scale = 1 / Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length + eps);
    const [w, b] = [this.get(`${name}.weight`, [x.length]), this.get(`${name}.bias`, [x.length])];
    return x.map((v, i) => (v - mean) * scale * (w[i] as number) + (b[i] as number));
  }

  rmsNorm(x: Row, name: string, eps: number): Row {
    const scale = 1 / Math.sqrt(x.reduce((a, b) => a + b * b, 0) / x.length + eps);
    const w = this.get(`${name}.weight`, [x.length]);
    return x.map((v, i) => v * scale * (w[i] as number));
  }
}

const plus = (a: Row, b: Row): Row => a.map((v, i) => v + (b[i] as number));
const silu = (x: number) => x / (1 + Math.exp(-x));
/** Abramowitz and Stegun 7.1.5, a series that is exact enough for |x| < 6. */
function erf(x: number): number {
  let [term, total] = [x, x];
  for (let n = 1; n < 200; n++) { term *= (-x * x) / n; total += term / (2 * n + 1); }
  return Math.abs(x) > 5 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * total;
}
const gelu = (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2));
const part = (x: Row, head: number, size: number) => x.slice(head * size, (head + 1) * size);

/** softmax(q kᵀ / √d) v of every token over those it sees. */
function attend(q: Row[], k: Row[], v: Row[], heads: number, kvHeads: number, sees: (t: number, s: number) => boolean): Row[] {
  const d = (q[0] as Row).length / heads;
  return q.map((row, t) => Array.from({ length: heads }, (_, h) => {
    const kv = Math.floor(h / (heads / kvHeads));
    const shown = k.flatMap((key, s) => (sees(t, s) ? [{ s, score: part(row, h, d).reduce((sum, x, i) => sum + x * (key[kv * d + i] as number), 0) / Math.sqrt(d) }] : []));
    const top = Math.max(...shown.map(({ score }) => score));
    const total = shown.reduce((sum, { score }) => sum + Math.exp(score - top), 0);
    return Array.from({ length: d }, (_, i) => shown.reduce((sum, { s, score }) => sum + (Math.exp(score - top) / total) * ((v[s] as Row)[kv * d + i] as number), 0));
  }).flat());
}

/** The first 2·n numbers of a head turned, as rotate_half does: number j with number j + n. */
function rotate(head: Row, t: number, angles: readonly number[]): Row {
  const n = angles.length;
  return head.map((x, i) => {
    if (i >= 2 * n) return x;
    const angle = t * (angles[i % n] as number);
    return x * Math.cos(angle) + (i < n ? -(head[i + n] as number) : (head[i - n] as number)) * Math.sin(angle);
  });
}

/** inv_freq of transformers, by wavelengths as its rope utilities have it. */
function inverseFrequencies(c: Config, d: number, base: number): number[] {
  const s = (c.rope_scaling ?? {}) as Record<string, number | string>;
  const kind = s.rope_type ?? s.type;
  return Array.from({ length: d / 2 }, (_, j) => {
    const f = 1 / base ** ((2 * j) / d);
    if (kind === 'linear') return f / (s.factor as number);
    if (kind !== 'llama3') return f;
    const [factor, low, high, old] = [s.factor, s.low_freq_factor, s.high_freq_factor, s.original_max_position_embeddings] as [number, number, number, number];
    const wave = (2 * Math.PI) / f;
    if (wave < old / high) return f;
    if (wave > old / low) return f / factor;
    const smooth = (old / wave - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

const heads = (x: Row, count: number, each: (head: Row) => Row): Row => Array.from({ length: count }, (_, h) => each(part(x, h, x.length / count))).flat();

/** Llama, Mistral, Qwen2 and Qwen3 by the name of the class. */
export const llamaHost: Host = (c, w, ids) => {
  const [H, n, kv, width, vocab, eps] = [c.num_attention_heads, c.num_key_value_heads, c.num_key_value_heads, c.hidden_size, c.vocab_size, c.rms_norm_eps] as number[] as [number, number, number, number, number, number];
  const d = (c.head_dim as number) ?? width / H;
  const name = (c.architectures as string[])[0] as string;
  const [bias, outBias, norms] = [name.startsWith('Qwen2') || c.attention_bias === true, c.attention_bias === true && !name.startsWith('Qwen2'), name.startsWith('Qwen3')];
  const angles = inverseFrequencies(c, d, (c.rope_theta as number) ?? 10000);
  let x = ids.map((id) => w.row('model.embed_tokens', vocab, width, id));
  for (let i = 0; i < (c.num_hidden_layers as number); i++) {
    const at = `model.layers.${i}`;
    const h = x.map((row) => w.rmsNorm(row, `${at}.input_layernorm`, eps));
    const turned = (row: Row, t: number, which: string, count: number) => heads(w.linear(row, `${at}.self_attn.${which}_proj`, count * d, bias), count, (head) => rotate(norms ? w.rmsNorm(head, `${at}.self_attn.${which}_norm`, eps) : head, t, angles));
    const mixed = attend(h.map((row, t) => turned(row, t, 'q', H)), h.map((row, t) => turned(row, t, 'k', n)), h.map((row) => w.linear(row, `${at}.self_attn.v_proj`, kv * d, bias)), H, kv, (t, s) => s <= t);
    x = x.map((row, t) => plus(row, w.linear(mixed[t] as Row, `${at}.self_attn.o_proj`, width, outBias)));
    x = x.map((row) => {
      const f = w.rmsNorm(row, `${at}.post_attention_layernorm`, eps);
      const [gate, up] = [w.linear(f, `${at}.mlp.gate_proj`, c.intermediate_size as number, false), w.linear(f, `${at}.mlp.up_proj`, c.intermediate_size as number, false)];
      return plus(row, w.linear(gate.map((g, j) => silu(g) * (up[j] as number)), `${at}.mlp.down_proj`, width, false));
    });
  }
  return x.map((row) => w.linear(w.rmsNorm(row, 'model.norm', eps), 'lm_head', vocab, false));
};

export const neoxHost: Host = (c, w, ids) => {
  const [H, width, vocab] = [c.num_attention_heads, c.hidden_size, c.vocab_size] as [number, number, number];
  const [d, eps] = [width / H, 1e-5];
  const angles = inverseFrequencies(c, Math.floor(d * (c.rotary_pct as number)), 10000);
  let x = ids.map((id) => w.row('gpt_neox.embed_in', vocab, width, id));
  for (let i = 0; i < (c.num_hidden_layers as number); i++) {
    const at = `gpt_neox.layers.${i}`;
    // A head's 3 d numbers: query, key, value.
    const fused = x.map((row) => w.linear(w.layerNorm(row, `${at}.input_layernorm`, eps), `${at}.attention.query_key_value`, 3 * width, true));
    const pick = (which: number, turn: boolean) => fused.map((row, t) => Array.from({ length: H }, (_, h) => {
      const head = part(part(row, h, 3 * d), which, d);
      return turn ? rotate(head, t, angles) : head;
    }).flat());
    const mixed = attend(pick(0, true), pick(1, true), pick(2, false), H, H, (t, s) => s <= t).map((row) => w.linear(row, `${at}.attention.dense`, width, true));
    x = x.map((row, t) => {
      const y = plus(row, mixed[t] as Row);
      const f = w.layerNorm(c.use_parallel_residual ? row : y, `${at}.post_attention_layernorm`, eps);
      return plus(y, w.linear(w.linear(f, `${at}.mlp.dense_h_to_4h`, c.intermediate_size as number, true).map(gelu), `${at}.mlp.dense_4h_to_h`, width, true));
    });
  }
  return x.map((row) => w.linear(w.layerNorm(row, 'gpt_neox.final_layer_norm', eps), 'embed_out', vocab, false));
};

/** Names of the parts of an encoder's block, and of its embeddings. */
interface EncoderNames { block: (i: number) => string; q: string; k: string; v: string; out: string; norm1: string; up: string; down: string; norm2: string }

function encode(w: Store, embedded: Row[], length: number, layers: number, H: number, ffn: number, eps: number, n: EncoderNames): Row[] {
  let x = embedded;
  for (let i = 0; i < layers; i++) {
    const at = n.block(i);
    const [q, k, v] = [n.q, n.k, n.v].map((name) => x.map((row) => w.linear(row, `${at}.${name}`, row.length, true))) as [Row[], Row[], Row[]];
    const mixed = attend(q, k, v, H, H, (_, s) => s < length);
    const y = x.map((row, t) => w.layerNorm(plus(row, w.linear(mixed[t] as Row, `${at}.${n.out}`, row.length, true)), `${at}.${n.norm1}`, eps));
    x = y.map((row) => w.layerNorm(plus(row, w.linear(w.linear(row, `${at}.${n.up}`, ffn, true).map(gelu), `${at}.${n.down}`, row.length, true)), `${at}.${n.norm2}`, eps));
  }
  return x;
}

const BERT_NAMES = { q: 'attention.self.query', k: 'attention.self.key', v: 'attention.self.value', out: 'attention.output.dense', norm1: 'attention.output.LayerNorm', up: 'intermediate.dense', down: 'output.dense', norm2: 'output.LayerNorm' };

export const robertaHost: Host = (c, w, ids, length, task) => {
  const [H, width, vocab, eps, pad] = [c.num_attention_heads, c.hidden_size, c.vocab_size, c.layer_norm_eps, c.pad_token_id] as [number, number, number, number, number];
  const at = 'roberta.embeddings';
  // create_position_ids_from_input_ids: tokens that are not padding are counted, from pad + 1.
  const embedded = ids.map((id, t) => w.layerNorm(plus(plus(w.row(`${at}.word_embeddings`, vocab, width, id), w.row(`${at}.token_type_embeddings`, 1, width, 0)), w.row(`${at}.position_embeddings`, c.max_position_embeddings as number, width, t < length ? t + pad + 1 : pad)), `${at}.LayerNorm`, eps));
  const x = encode(w, embedded, length, c.num_hidden_layers as number, H, c.intermediate_size as number, eps, { ...BERT_NAMES, block: (i) => `roberta.encoder.layer.${i}` });
  if (task === 'sentence-embedding') return [x[0] as Row].map((row) => row.map((_, j) => x.slice(0, length).reduce((sum, one) => sum + (one[j] as number), 0) / length));
  if (task === 'token-classification') return x.map((row) => w.linear(row, 'classifier', 3, true));
  if (task === 'sequence-classification') return [w.linear(w.linear(x[0] as Row, 'classifier.dense', width, true).map(Math.tanh), 'classifier.out_proj', 3, true)];
  return x.map((row) => tied(w, w.layerNorm(w.linear(row, 'lm_head.dense', width, true).map(gelu), 'lm_head.layer_norm', eps), `${at}.word_embeddings`, 'lm_head.bias', vocab));
};

export const distilbertHost: Host = (c, w, ids, length, task) => {
  const [H, width, vocab] = [c.n_heads, c.dim, c.vocab_size] as [number, number, number];
  const at = 'distilbert.embeddings';
  const embedded = ids.map((id, t) => w.layerNorm(plus(w.row(`${at}.word_embeddings`, vocab, width, id), w.row(`${at}.position_embeddings`, c.max_position_embeddings as number, width, t)), `${at}.LayerNorm`, 1e-12));
  const x = encode(w, embedded, length, c.n_layers as number, H, c.hidden_dim as number, 1e-12, {
    block: (i) => `distilbert.transformer.layer.${i}`, q: 'attention.q_lin', k: 'attention.k_lin', v: 'attention.v_lin', out: 'attention.out_lin', norm1: 'sa_layer_norm', up: 'ffn.lin1', down: 'ffn.lin2', norm2: 'output_layer_norm',
  });
  if (task === 'token-classification') return x.map((row) => w.linear(row, 'classifier', 3, true));
  if (task === 'sequence-classification') return [w.linear(w.linear(x[0] as Row, 'pre_classifier', width, true).map((v) => Math.max(0, v)), 'classifier', 3, true)];
  return x.map((row) => tied(w, w.layerNorm(w.linear(row, 'vocab_transform', width, true).map(gelu), 'vocab_layer_norm', 1e-12), `${at}.word_embeddings`, 'vocab_projector.bias', vocab));
};

function tied(w: Store, x: Row, table: string, bias: string, vocab: number): Row {
  const b = w.get(bias, [vocab]);
  return Array.from({ length: vocab }, (_, id) => w.row(table, vocab, x.length, id).reduce((sum, v, i) => sum + v * (x[i] as number), b[id] as number));
}

/** ViT and DeiT by the model's prefix: the class logits of one picture [channels, size, size]. */
export function visionHost(c: Config, w: Store, picture: ArrayLike<number>, prefix: string, front: readonly string[], classes: number): Row {
  const [width, size, patch, H, eps] = [c.hidden_size, c.image_size, c.patch_size, c.num_attention_heads, 1e-12] as [number, number, number, number, number];
  const [kernel, bias] = [w.get(`${prefix}.embeddings.patch_embeddings.projection.weight`, [width, 3, patch, patch]), w.get(`${prefix}.embeddings.patch_embeddings.projection.bias`, [width])];
  const across = size / patch;
  // The convolution as it is written down: a sum over channels and places, patch by patch.
  const seen = Array.from({ length: across ** 2 }, (_, n) => Array.from({ length: width }, (_, o) => {
    let sum = bias[o] as number;
    for (let ch = 0; ch < 3; ch++) for (let u = 0; u < patch; u++) for (let v = 0; v < patch; v++) {
      sum += (kernel[((o * 3 + ch) * patch + u) * patch + v] as number) * (picture[(ch * size + Math.floor(n / across) * patch + u) * size + (n % across) * patch + v] as number);
    }
    return sum;
  }));
  const tokens = [...front.map((name) => [...w.get(`${prefix}.embeddings.${name}`, [1, 1, width])]), ...seen];
  const places = w.get(`${prefix}.embeddings.position_embeddings`, [1, tokens.length, width]);
  let x = tokens.map((row, t) => row.map((v, i) => v + (places[t * width + i] as number)));
  for (let i = 0; i < (c.num_hidden_layers as number); i++) {
    const at = `${prefix}.encoder.layer.${i}`;
    const h = x.map((row) => w.layerNorm(row, `${at}.layernorm_before`, eps));
    const [q, k, v] = ['query', 'key', 'value'].map((name) => h.map((row) => w.linear(row, `${at}.attention.attention.${name}`, width, true))) as [Row[], Row[], Row[]];
    const y = attend(q, k, v, H, H, () => true).map((row, t) => plus(x[t] as Row, w.linear(row, `${at}.attention.output.dense`, width, true)));
    x = y.map((row) => plus(row, w.linear(w.linear(w.layerNorm(row, `${at}.layernorm_after`, eps), `${at}.intermediate.dense`, c.intermediate_size as number, true).map(gelu), `${at}.output.dense`, width, true)));
  }
  return w.linear(w.layerNorm(x[0] as Row, `${prefix}.layernorm`, eps), 'classifier', classes, true);
}
