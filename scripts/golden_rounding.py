"""How far the float32 gradients in the gloss-1m goldens are from exact: BERT once more in double precision, gradients by central
differences. Writes gloss-1m.rounding.json beside them: {kind: {tensor: largest difference as a share of the largest gradient}}.
Ten minutes a kind on one core. It reads whole gradients, so it runs before scripts/slim-goldens.mjs.
usage: python scripts/golden_rounding.py [lora rslora pissa]    needs numpy, scipy, safetensors"""
import json, os, sys
import numpy as np
from scipy.special import erf
from safetensors.numpy import load_file

ROOT = os.path.join(os.path.dirname(__file__), '..')
GOLDENS = os.path.join(ROOT, 'e2e/fixtures/goldens')
OUT = os.path.join(GOLDENS, 'gloss-1m.rounding.json')
PREFIX, LAYERS, HEADS, STEP = 'base_model.model.', 4, 4, 1e-5

W = {k: v.astype(np.float64) for k, v in load_file(os.path.join(ROOT, 'public/models/gloss-1m/model.safetensors')).items()}
batch = load_file(os.path.join(GOLDENS, 'gloss-1m.safetensors'))
ids, mask, labels = batch['input_ids'], batch['attention_mask'], batch['labels']
rows, time = ids.shape


def norm(x, name):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-12) * W[name + '.weight'] + W[name + '.bias']


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def loss(base, adapter, scale):
    def linear(x, name):
        return x @ base[name].T + scale * (x @ adapter[name + '.lora_A'].T) @ adapter[name + '.lora_B'].T + W[name + '.bias']

    e = 'bert.embeddings.'
    x = W[e + 'word_embeddings.weight'][ids] + W[e + 'token_type_embeddings.weight'][0] + W[e + 'position_embeddings.weight'][:time]
    x = norm(x, e + 'LayerNorm')
    size = x.shape[-1] // HEADS
    for i in range(LAYERS):
        at = f'bert.encoder.layer.{i}.'
        q, k, v = (linear(x, at + 'attention.self.' + n).reshape(rows, time, HEADS, size).transpose(0, 2, 1, 3) for n in ('query', 'key', 'value'))
        score = q @ k.transpose(0, 1, 3, 2) / np.sqrt(size) + np.where(mask[:, None, None, :] == 0, -1e30, 0)
        p = np.exp(score - score.max(-1, keepdims=True))
        mixed = ((p / p.sum(-1, keepdims=True)) @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(linear(mixed, at + 'attention.output.dense') + x, at + 'attention.output.LayerNorm')
        x = norm(linear(gelu(linear(x, at + 'intermediate.dense')), at + 'output.dense') + x, at + 'output.LayerNorm')
    head = 'cls.predictions.'
    x = norm(gelu(linear(x, head + 'transform.dense')), head + 'transform.LayerNorm')
    logits = (x @ W[e + 'word_embeddings.weight'].T + W[head + 'bias'])[labels >= 0]
    wanted = labels[labels >= 0]
    top = logits.max(-1)
    return float((np.log(np.exp(logits - top[:, None]).sum(-1)) + top - logits[np.arange(len(wanted)), wanted]).mean())


def rounding(kind):
    golden = load_file(os.path.join(GOLDENS, f'gloss-1m.{kind}.safetensors'))
    start = {k[len('init.' + PREFIX):-len('.weight')]: v.astype(np.float64) for k, v in golden.items() if k.startswith('init.')}
    scale = 8 / np.sqrt(4) if kind == 'rslora' else 8 / 4
    base = {n: W[n + '.weight'] for n in {k.rsplit('.', 1)[0] for k in start}}
    if kind == 'pissa':
        base = {n: w - scale * start[n + '.lora_B'] @ start[n + '.lora_A'] for n, w in base.items()}
    result = {}
    for name, value in start.items():
        exact = np.zeros_like(value)
        for at in np.ndindex(*value.shape):
            moved = value.copy()
            sides = []
            for sign in (1, -1):
                moved[at] = value[at] + sign * STEP
                sides.append(loss(base, {**start, name: moved}, scale))
            exact[at] = (sides[0] - sides[1]) / (2 * STEP)
        stored = golden[f'grad.{PREFIX}{name}.weight']
        result[name] = float(f'{abs(stored - exact).max() / abs(exact).max():.2e}')
        print(kind, name, result[name], flush=True)
    return result


known = json.load(open(OUT)) if os.path.exists(OUT) else {}
for kind in sys.argv[1:] or ('lora', 'rslora', 'pissa'):
    known[kind] = rounding(kind)
    json.dump(known, open(OUT, 'w'), indent=1, sort_keys=True)
