// Vision transformers (Dosovitskiy et al. 2021): a picture as rows of patches behind a class token, LayerNorm before each part, GELU.
// DeiT (Touvron et al. 2021) has a second token in front, which its teacher spoke through; the class is read from the first.
import type { Scope } from '../engine/nn/network';
import { add, addColumns, addPositions, gelu, geluTanh, matmul, patches, placeColumns, reshape } from '../engine/ops';
import { type Tensor, elements } from '../engine/tensor/tensor';
import { type Architecture, ConfigReader, headSize, labelsOf } from './model';
import { firstToken } from './shared';

export interface VitConfig {
  hidden: number;
  layers: number;
  heads: number;
  ffn: number;
  image: { channels: number; size: number };
  patch: number;
  qkvBias: boolean;
  eps: number;
  tanhForm: boolean;
  initStd: number;
}

/** Tokens in front of the patches, the class token first; the checkpoint has a vector for each. */
function visionTransformer(id: string, classes: Architecture['classes'], front: readonly string[]): Architecture<VitConfig> {
  const rows = (c: VitConfig) => (c.image.size / c.patch) ** 2 + front.length;
  return {
    id, classes,
    kind: 'vit',
    headless: [id === 'vit' ? 'ViTModel' : 'DeiTModel'],
    prefix: id,

    parse(json) {
      const c = new ConfigReader(json);
      c.only('hidden_act', 'gelu', 'gelu_new', 'gelu_pytorch_tanh');
      const [size, patch] = [c.size('image_size', 224), c.size('patch_size', 16)];
      c.holds(size % patch === 0, `image_size = ${size} is no multiple of patch_size = ${patch}`);
      const [hidden, heads] = [c.size('hidden_size', 768), c.size('num_attention_heads', 12)];
      headSize(hidden, heads);
      return {
        hidden, heads, patch, image: { channels: c.size('num_channels', 3), size },
        layers: c.size('num_hidden_layers', 12), ffn: c.size('intermediate_size', 3072), qkvBias: c.flag('qkv_bias', true),
        eps: c.number('layer_norm_eps', 1e-12), tanhForm: !c.is('hidden_act', 'gelu'), initStd: c.number('initializer_range', 0.02),
      };
    },

    info: (c) => ({ layers: c.layers, hidden: c.hidden, heads: c.heads, kvHeads: c.heads, vocab: 0, context: rows(c), image: c.image }),

    heads: (c) => [{ module: 'classifier', always: true, std: c.initStd }],

    trunk(m, c) {
      const model = m.at(id);
      let x = embedPatches(model.at('embeddings'), c, front);
      for (let i = 0; i < c.layers; i++) x = model.block(() => block(model.at(`encoder.layer.${i}`), x, c));
      return model.layerNorm('layernorm', x, c.eps);
    },

    head: (m, _, x, task) => m.linear('classifier', firstToken(x), labelsOf(task)?.length ?? 0, { bias: true }),

    // A pooler, which the classifier does not read.
    ignores: (name) => name.startsWith(`${id}.pooler.`) || name.startsWith('pooler.'),
  };
}

export const vit = visionTransformer('vit', { 'image-classification': 'ViTForImageClassification' }, ['cls_token']);
export const deit = visionTransformer('deit', { 'image-classification': 'DeiTForImageClassification' }, ['cls_token', 'distillation_token']);

/** Patches by a linear map behind the tokens in front, with learned positions: [batch, front + patches, hidden]. */
function embedPatches(m: Scope, c: VitConfig, front: readonly string[]): Tensor {
  const pixels = m.pixels();
  const [batch, { channels }, count] = [pixels.shape[0] as number, c.image, (c.image.size / c.patch) ** 2 + front.length];
  const weight = m.param('patch_embeddings.projection.weight', [c.hidden, channels, c.patch, c.patch]);
  const flat = matmul(patches(pixels, c.patch), reshape(weight, [c.hidden, channels * c.patch ** 2]), { tb: true });
  const embedded = addColumns(flat, m.param('patch_embeddings.projection.bias', [c.hidden]));
  const wide = count * c.hidden;
  const at = (x: Tensor, token: number) => placeColumns(reshape(x, [x.shape[0] as number, elements(x) / (x.shape[0] as number)]), token * c.hidden, wide);
  // What stands in front is the same in all rows of a batch: it goes where the positions go.
  const table = front.reduce((sum, name, i) => add(sum, at(m.param(name, [1, 1, c.hidden]), i)), reshape(m.param('position_embeddings', [1, count, c.hidden]), [1, wide]));
  return addPositions(reshape(at(embedded, front.length), [batch, count, c.hidden]), reshape(table, [count, c.hidden]));
}

function block(m: Scope, x: Tensor, c: VitConfig): Tensor {
  const bias = true;
  const attn = m.at('attention');
  const h = m.layerNorm('layernorm_before', x, c.eps);
  const [q, k, v] = ['query', 'key', 'value'].map((name) => attn.linear(`attention.${name}`, h, c.hidden, { bias: c.qkvBias })) as [Tensor, Tensor, Tensor];
  const y = add(attn.linear('output.dense', attn.attentionToAll(q, k, v, c.heads), c.hidden, { bias }), x);
  const inner = m.linear('intermediate.dense', m.layerNorm('layernorm_after', y, c.eps), c.ffn, { bias });
  return add(m.linear('output.dense', c.tanhForm ? geluTanh(inner) : gelu(inner), c.hidden, { bias }), y);
}
