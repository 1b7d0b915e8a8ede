// The step in jax-js: forward, loss, gradient and AdamW in one jit. Arrays are counted references: `x.ref` keeps x for another use.
import { type Array as Arr, blockUntilReady, defaultDevice, getWebGPUDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax';
import type { HostTensor, LoraWork, Peer, PeerProduct, PeerSession, PeerStep } from '../../src/cli/verbs/bench-peer';
import { giveDevice } from './navigator';
import { devDependencies } from './package.json';

type Weights = Record<string, Arr>;
type Adapters = Record<string, { A: Arr; B: Arr }>;
type Batch = { ids: Arr; targets: Arr; counted: Arr; cos: Arr; sin: Arr };
type State = { adapters: Adapters; m: Adapters; v: Adapters };

const upload = ({ shape, data }: HostTensor): Arr => np.array(data).reshape([...shape]);

export const jaxPeer: Peer = {
  name: 'jax-js',
  version: devDependencies['@jax-js/jax'],
  async open(device, info): Promise<PeerSession> {
    giveDevice(device, info);
    const ready = await init('webgpu');
    if (!ready.includes('webgpu') || getWebGPUDevice() !== device) throw new Error(`init('webgpu') gave ${ready.join(', ') || 'no backend'}`);
    defaultDevice('webgpu');
    return { loraStep: async (work) => loraStep(work), product };
  },
};

/** Mean loss of the masked next-token prediction. Owns and consumes its arguments, as jax-js wants it. */
function lossOf(w: LoraWork) {
  const { layers, hidden, heads, kvHeads, headSize, vocab, eps, batch, seq, scale } = w;
  const rows = batch * seq;
  return (adapters: Adapters, weights: Weights, { ids, targets, counted, cos, sin }: Batch): Arr => {
    const weight = (name: string) => (weights[`${name}.weight`] as Arr).ref;
    const linear = (name: string, x: Arr): Arr => {
      const { A, B } = adapters[name] as { A: Arr; B: Arr };
      const base = np.matmul(x.ref, weight(name).transpose());
      return base.add(np.matmul(np.matmul(x, A.ref.transpose()), B.ref.transpose()).mul(scale));
    };
    const norm = (name: string, x: Arr): Arr => {
      const mean = np.mean(np.square(x.ref), -1, { keepdims: true });
      return x.div(np.sqrt(mean.add(eps))).mul(weight(name));
    };
    const rope = (x: Arr, count: number): Arr => {
      const [first, second] = np.split(x.reshape([batch, seq, count, headSize]), 2, -1) as [Arr, Arr];
      const turned = [first.ref.mul(cos.ref).sub(second.ref.mul(sin.ref)), second.mul(cos.ref).add(first.mul(sin.ref))];
      return np.concatenate(turned, -1);
    };
    let x = np.take(weight('model.embed_tokens'), ids, 0);
    for (let i = 0; i < layers; i++) {
      const at = (name: string) => `model.layers.${i}.${name}`;
      const h = norm(at('input_layernorm'), x.ref);
      const q = rope(linear(at('self_attn.q_proj'), h.ref), heads);
      const k = rope(linear(at('self_attn.k_proj'), h.ref), kvHeads);
      const v = linear(at('self_attn.v_proj'), h).reshape([batch, seq, kvHeads, headSize]);
      const y = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([rows, heads * headSize]);
      x = x.add(linear(at('self_attn.o_proj'), y));
      const f = norm(at('post_attention_layernorm'), x.ref);
      const gated = nn.silu(linear(at('mlp.gate_proj'), f.ref)).mul(linear(at('mlp.up_proj'), f));
      x = x.add(linear(at('mlp.down_proj'), gated));
    }
    const logits = np.matmul(norm('model.norm', x).reshape([rows, hidden]), weight('model.embed_tokens').transpose());
    const chosen = np.sum(np.where(np.equal(targets.reshape([rows, 1]), np.arange(vocab)), logits.ref, 0), -1);
    const losses = nn.logsumexp(logits, -1).sub(chosen);
    const loss = np.sum(losses.mul(counted.ref)).div(np.sum(counted));
    tree.dispose([adapters, weights, cos, sin]);
    return loss;
  };
}

function loraStep(work: LoraWork): PeerStep {
  const { lr, beta1, beta2, eps, weightDecay } = work.adamw;
  const half = work.headSize / 2;
  const loss = lossOf(work);
  const weights: Weights = Object.fromEntries([...work.weights].map(([name, t]) => [name, upload(t)]));
  const batch: Batch = {
    ids: np.array(work.ids, { dtype: np.int32 }),
    targets: np.array(work.targets, { dtype: np.int32 }),
    counted: np.array(work.counted),
    cos: np.array(work.cosines).reshape([1, work.seq, 1, half]),
    sin: np.array(work.sines).reshape([1, work.seq, 1, half]),
  };
  const start = (of: (t: HostTensor) => Arr): Adapters => Object.fromEntries([...work.adapters].map(([name, { A, B }]) => [name, { A: of(A), B: of(B) }]));
  const zeros = () => start((t) => np.zeros([...t.shape]));
  let state: State = { adapters: start(upload), m: zeros(), v: zeros() };
  let last: Arr | null = null;
  let count = 0;

  const train = jit((before: State, frozen: Weights, data: Batch, bias1: Arr, bias2: Arr): { loss: Arr; after: State } => {
    const [value, grads] = valueAndGrad(loss)(tree.ref(before.adapters), frozen, data) as [Arr, Adapters];
    const after: State = { adapters: {}, m: {}, v: {} };
    for (const name of Object.keys(before.adapters)) {
      const entry = { adapters: {} as { A: Arr; B: Arr }, m: {} as { A: Arr; B: Arr }, v: {} as { A: Arr; B: Arr } };
      for (const part of ['A', 'B'] as const) {
        const of = (t: Adapters) => (t[name] as { A: Arr; B: Arr })[part];
        const g = of(grads);
        const m = of(before.m).mul(beta1).add(g.ref.mul(1 - beta1));
        const v = of(before.v).mul(beta2).add(np.square(g).mul(1 - beta2));
        const move = m.ref.div(bias1.ref).div(np.sqrt(v.ref.div(bias2.ref)).add(eps));
        entry.adapters[part] = of(before.adapters).mul(1 - lr * weightDecay).sub(move.mul(lr));
        entry.m[part] = m;
        entry.v[part] = v;
      }
      after.adapters[name] = entry.adapters;
      after.m[name] = entry.m;
      after.v[name] = entry.v;
    }
    bias1.dispose();
    bias2.dispose();
    return { loss: value, after };
  });
  const differentiate = jit((adapters: Adapters, frozen: Weights, data: Batch) => valueAndGrad(loss)(adapters, frozen, data) as [Arr, Adapters]);

  return {
    async gradients() {
      const [value, grads] = differentiate(tree.ref(state.adapters), tree.ref(weights), tree.ref(batch)) as [Arr, Adapters];
      const gradients = new Map<string, Float32Array>();
      for (const [name, parts] of Object.entries(grads)) for (const part of ['A', 'B'] as const) gradients.set(`${name}.${part}`, (await parts[part].data()) as Float32Array);
      return { loss: (await value.data())[0] as number, gradients };
    },
    async step() {
      count++;
      const result = train(state, tree.ref(weights), tree.ref(batch), np.array(1 - beta1 ** count), np.array(1 - beta2 ** count)) as { loss: Arr; after: State };
      last?.dispose();
      last = result.loss;
      state = result.after;
      await blockUntilReady([last, state]);
    },
    loss: async () => ((await last?.ref.data())?.[0] ?? Number.NaN) as number,
  };
}

async function product(a: HostTensor, b: HostTensor, tb: boolean): Promise<PeerProduct> {
  const [left, right] = [upload(a), upload(b)];
  const multiply = jit((x: Arr, y: Arr) => np.matmul(x, tb ? y.transpose() : y));
  return {
    async run(times) {
      const results = Array.from({ length: times }, () => multiply(left.ref, right.ref) as Arr);
      await blockUntilReady(results);
      for (const y of results) y.dispose();
    },
    read: async () => (await (multiply(left.ref, right.ref) as Arr).data()) as Float32Array,
    dispose: () => [left, right].forEach((t) => t.dispose()),
  };
}
