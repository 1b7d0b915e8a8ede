// CLIP (Radford et al. 2021): a tower for pictures and one for texts; a picture's logits are its likeness to each of the texts.
import type { Scope } from '../engine/nn/network';
import { add, addPositions, embedding, exp, gelu, matmul, patches, placeColumns, quickGelu, reshape } from '../engine/ops';
import { type Tensor, elements } from '../engine/tensor/tensor';
import { type Architecture, ConfigReader, headSize } from './model';
import { firstToken, unit } from './shared';

/** One of the two towers; their blocks are the same. */
interface Tower {
  hidden: number;
  layers: number;
  heads: number;
  ffn: number;
  eps: number;
  quick: boolean;
}

export interface ClipConfig {
  text: Tower & { vocab: number; context: number; end: number | 'largest' };
  vision: Tower & { image: { channels: number; size: number }; patch: number };
  /** Numbers of the shared space. */
  projection: number;
}

export const clip: Architecture<ClipConfig> = {
  id: 'clip',
  kind: 'clip',
  classes: { 'image-text': 'CLIPModel', 'image-caption': 'CLIPModel' },

  parse(json) {
    const c = new ConfigReader(json);
    const [text, vision] = [c.object('text_config'), c.object('vision_config')];
    if (!text || !vision) throw c.missing(text ? 'vision_config' : 'text_config');
    const [size, patch] = [vision.size('image_size', 224), vision.size('patch_size', 32)];
    vision.holds(size % patch === 0, `vision_config: image_size = ${size} is no multiple of patch_size = ${patch}`);
    const end = text.whole('eos_token_id', 49407);
    return {
      projection: c.size('projection_dim', 512),
      // The first checkpoints say 2 and mean the largest id, which is the end of the text in their vocabulary.
      text: { ...towerOf(text, { hidden: 512, layers: 12, heads: 8, ffn: 2048 }), vocab: text.size('vocab_size', 49408), context: text.size('max_position_embeddings', 77), end: end === 2 ? 'largest' : end },
      vision: { ...towerOf(vision, { hidden: 768, layers: 12, heads: 12, ffn: 3072 }), image: { channels: vision.size('num_channels', 3), size }, patch },
    };
  },

  info: ({ text, vision }) => ({
    layers: vision.layers + text.layers, hidden: vision.hidden, heads: vision.heads, kvHeads: vision.heads,
    vocab: text.vocab, context: text.context, image: vision.image, textEnd: text.end,
  }),

  /** The pictures in the shared space, of length one: [pictures, projection]. */
  trunk(m, c) {
    const model = m.at('vision_model');
    let x = model.layerNorm('pre_layrnorm', embedPatches(model.at('embeddings'), c), c.vision.eps);
    for (let i = 0; i < c.vision.layers; i++) x = m.block(() => block(model.at(`encoder.layers.${i}`), x, c.vision, false));
    const pooled = model.layerNorm('post_layernorm', firstToken(x), c.vision.eps);
    return unit(m.linear('visual_projection', pooled, c.projection));
  },

  /** Cosines with the texts, times the learned scale: [pictures, texts]. */
  head: (m, c, pictures) => match(m, pictures, embedTexts(m, c)),

  texts: { embed: embedTexts, match: (m, _, pictures, texts) => match(m, pictures, texts) },

  // Positions stored as buffers.
  ignores: (name) => /^(text|vision)_model\.embeddings\.position_ids$/.test(name),
};

function match(m: Scope, pictures: Tensor, texts: Tensor): Tensor {
  const logits = matmul(pictures, texts, { tb: true });
  const scale = exp(reshape(m.param('logit_scale', []), [1, 1]));
  return reshape(matmul(reshape(logits, [elements(logits), 1]), scale), logits.shape);
}

function towerOf(c: ConfigReader, defaults: Pick<Tower, 'hidden' | 'layers' | 'heads' | 'ffn'>): Tower {
  c.only('hidden_act', 'quick_gelu', 'gelu');
  const [hidden, heads] = [c.size('hidden_size', defaults.hidden), c.size('num_attention_heads', defaults.heads)];
  headSize(hidden, heads);
  return { hidden, heads, layers: c.size('num_hidden_layers', defaults.layers), ffn: c.size('intermediate_size', defaults.ffn), eps: c.number('layer_norm_eps', 1e-5), quick: c.is('hidden_act', 'quick_gelu') };
}

/** Class vector and patches with their positions: [pictures, 1 + patches, hidden]. */
function embedPatches(m: Scope, { vision: c }: ClipConfig): Tensor {
  const pixels = m.pixels();
  const [batch, channels, count] = [pixels.shape[0] as number, c.image.channels, (c.image.size / c.patch) ** 2 + 1];
  const weight = m.param('patch_embedding.weight', [c.hidden, channels, c.patch, c.patch]);
  const embedded = matmul(patches(pixels, c.patch), reshape(weight, [c.hidden, channels * c.patch ** 2]), { tb: true });
  const wide = count * c.hidden;
  const behind = placeColumns(reshape(embedded, [batch, wide - c.hidden]), c.hidden, wide);
  const table = add(placeColumns(reshape(m.param('class_embedding', [c.hidden]), [1, c.hidden]), 0, wide), reshape(m.param('position_embedding.weight', [count, c.hidden]), [1, wide]));
  return addPositions(reshape(behind, [batch, count, c.hidden]), reshape(table, [count, c.hidden]));
}

/** The texts in the shared space, of length one: [texts, projection]. A text is read at its end, which has seen all of it. */
function embedTexts(m: Scope, { text: c, projection }: ClipConfig): Tensor {
  const model = m.at('text_model');
  const at = model.at('embeddings');
  let x = addPositions(at.embedding('token_embedding', m.ids(), c.vocab, c.hidden), at.positionEmbedding('position_embedding', c.context, c.hidden));
  for (let i = 0; i < c.layers; i++) x = m.block(() => block(model.at(`encoder.layers.${i}`), x, c, true));
  const normed = model.layerNorm('final_layer_norm', x, c.eps);
  const ends = embedding(m.ends(), reshape(normed, [elements(normed) / c.hidden, c.hidden]));
  return unit(m.linear('text_projection', ends, projection));
}

function block(m: Scope, x: Tensor, c: Tower, causal: boolean): Tensor {
  const bias = true;
  const attn = m.at('self_attn');
  const h = m.layerNorm('layer_norm1', x, c.eps);
  const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((name) => attn.linear(name, h, c.hidden, { bias })) as [Tensor, Tensor, Tensor];
  const mixed = causal ? attn.attention(q, k, v, c.heads, c.heads) : attn.attentionToAll(q, k, v, c.heads);
  const y = add(x, attn.linear('out_proj', mixed, c.hidden, { bias }));
  const mlp = m.at('mlp');
  const inner = mlp.linear('fc1', m.layerNorm('layer_norm2', y, c.eps), c.ffn, { bias });
  return add(y, mlp.linear('fc2', c.quick ? quickGelu(inner) : gelu(inner), c.hidden, { bias }));
}
