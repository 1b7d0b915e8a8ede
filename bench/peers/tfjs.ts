// The step in TensorFlow.js: variables, valueAndGrads and AdamW op by op, as its own optimisers are written.
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { HostTensor, LoraWork, Peer, PeerProduct, PeerSession, PeerStep } from '../../src/cli/verbs/bench-peer';
import { giveDevice } from './navigator';

const upload = ({ shape, data }: HostTensor): tf.Tensor => tf.tensor(data, [...shape], 'float32');

let backend: WebGPUBackend;

/** Sends what is recorded; by itself tfjs sends every 15 kernels. */
function flush(): void {
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
}

export const tfjsPeer: Peer = {
  name: 'tfjs',
  version: tf.version_core,
  async open(device, info): Promise<PeerSession> {
    giveDevice(device, info);
    backend = new WebGPUBackend(device, info);
    tf.registerBackend('webgpu', () => backend);
    if (!(await tf.setBackend('webgpu'))) throw new Error("setBackend('webgpu') gave false");
    await tf.ready();
    return { loraStep: async (work) => loraStep(work), product };
  },
};

function loraStep(work: LoraWork): PeerStep {
  const { layers, hidden, heads, kvHeads, headSize, vocab, batch, seq, scale } = work;
  const { lr, beta1, beta2, eps, weightDecay } = work.adamw;
  const rows = batch * seq;
  const half = headSize / 2;
  const weights = new Map([...work.weights].map(([name, t]) => [name, upload(t)]));
  const names = [...work.adapters].flatMap(([name]) => [`${name}.A`, `${name}.B`]);
  const host = (key: string): HostTensor => (work.adapters.get(key.slice(0, -2)) as { A: HostTensor; B: HostTensor })[key.slice(-1) as 'A' | 'B'];
  const variables = new Map(names.map((key) => [key, tf.variable(upload(host(key)))]));
  const zeros = () => new Map(names.map((key) => [key, tf.variable(tf.zeros([...host(key).shape]))]));
  const [first, second] = [zeros(), zeros()];
  const ids = tf.tensor1d(work.ids, 'int32');
  const wanted = tf.cast(tf.oneHot(tf.tensor1d(work.targets, 'int32'), vocab), 'float32');
  const counted = tf.tensor1d(work.counted);
  const total = tf.sum(counted);
  const [cos, sin] = [work.cosines, work.sines].map((table) => tf.tensor4d(table, [1, seq, 1, half])) as [tf.Tensor, tf.Tensor];
  const hidden4 = tf.tensor4d(Float32Array.from({ length: seq * seq }, (_, i) => (i % seq > Math.floor(i / seq) ? -1e9 : 0)), [1, 1, seq, seq]);

  const weight = (name: string) => weights.get(`${name}.weight`) as tf.Tensor;
  const linear = (name: string, x: tf.Tensor): tf.Tensor => {
    const base = tf.matMul(x, weight(name), false, true);
    const low = tf.matMul(x, variables.get(`${name}.A`) as tf.Tensor, false, true);
    return tf.add(base, tf.mul(tf.matMul(low, variables.get(`${name}.B`) as tf.Tensor, false, true), scale));
  };
  const norm = (name: string, x: tf.Tensor): tf.Tensor => tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), work.eps))), weight(name));
  const rope = (x: tf.Tensor, count: number): tf.Tensor => {
    const [a, b] = tf.split(tf.reshape(x, [batch, seq, count, headSize]), 2, -1) as [tf.Tensor, tf.Tensor];
    return tf.concat([tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))], -1);
  };
  /** [batch, seq, count, headSize] → [batch, heads, seq, headSize], each head of k and v used by its group. */
  const byHead = (x: tf.Tensor, count: number): tf.Tensor => {
    const turned = tf.transpose(x, [0, 2, 1, 3]);
    if (count === heads) return turned;
    // In three sizes: tfjs tiles five on the CPU.
    const grouped = tf.tile(tf.reshape(turned, [batch * count, 1, seq * headSize]), [1, heads / count, 1]);
    return tf.reshape(grouped, [batch, heads, seq, headSize]);
  };
  const loss = (): tf.Scalar => {
    let x: tf.Tensor = tf.gather(weight('model.embed_tokens'), ids);
    for (let i = 0; i < layers; i++) {
      const at = (name: string) => `model.layers.${i}.${name}`;
      const h = norm(at('input_layernorm'), x);
      const q = byHead(rope(linear(at('self_attn.q_proj'), h), heads), heads);
      const k = byHead(rope(linear(at('self_attn.k_proj'), h), kvHeads), kvHeads);
      const v = byHead(tf.reshape(linear(at('self_attn.v_proj'), h), [batch, seq, kvHeads, headSize]), kvHeads);
      const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(headSize)), hidden4);
      const mixed = tf.reshape(tf.transpose(tf.matMul(tf.softmax(scores), v), [0, 2, 1, 3]), [rows, heads * headSize]);
      x = tf.add(x, linear(at('self_attn.o_proj'), mixed));
      const f = norm(at('post_attention_layernorm'), x);
      const gate = linear(at('mlp.gate_proj'), f);
      x = tf.add(x, linear(at('mlp.down_proj'), tf.mul(tf.mul(gate, tf.sigmoid(gate)), linear(at('mlp.up_proj'), f))));
    }
    const logits = tf.matMul(tf.reshape(norm('model.norm', x), [rows, hidden]), weight('model.embed_tokens'), false, true);
    const losses = tf.neg(tf.sum(tf.mul(wanted, tf.logSoftmax(logits)), -1));
    return tf.div(tf.sum(tf.mul(losses, counted)), total) as tf.Scalar;
  };

  let count = 0;
  let last: tf.Scalar | null = null;
  const order = [...variables.values()];
  const keyOf = new Map(names.map((key) => [(variables.get(key) as tf.Variable).name, key]));
  return {
    async gradients() {
      const { value, grads } = tf.variableGrads(loss, order);
      const gradients = new Map<string, Float32Array>();
      for (const [name, g] of Object.entries(grads)) gradients.set(keyOf.get(name) as string, (await g.data()) as Float32Array);
      return { loss: (await value.data())[0] as number, gradients };
    },
    async step() {
      count++;
      const [bias1, bias2] = [1 - beta1 ** count, 1 - beta2 ** count];
      const value = tf.tidy(() => {
        const { value: now, grads } = tf.variableGrads(loss, order);
        for (const [key, p] of variables) {
          const g = grads[p.name] as tf.Tensor;
          const [m, v] = [first.get(key) as tf.Variable, second.get(key) as tf.Variable];
          m.assign(tf.add(tf.mul(m, beta1), tf.mul(g, 1 - beta1)));
          v.assign(tf.add(tf.mul(v, beta2), tf.mul(tf.square(g), 1 - beta2)));
          const move = tf.div(tf.div(m, bias1), tf.add(tf.sqrt(tf.div(v, bias2)), eps));
          p.assign(tf.sub(tf.mul(p, 1 - lr * weightDecay), tf.mul(move, lr)));
        }
        return now;
      });
      last?.dispose();
      last = value;
      flush();
    },
    loss: async () => ((await last?.data())?.[0] ?? Number.NaN) as number,
  };
}

async function product(a: HostTensor, b: HostTensor, tb: boolean): Promise<PeerProduct> {
  const [left, right] = [upload(a), upload(b)];
  return {
    async run(times) {
      for (let i = 0; i < times; i++) tf.matMul(left, right, false, tb).dispose();
      flush();
    },
    async read() {
      const y = tf.matMul(left, right, false, tb);
      const data = (await y.data()) as Float32Array;
      y.dispose();
      return data;
    },
    dispose: () => [left, right].forEach((t) => t.dispose()),
  };
}
