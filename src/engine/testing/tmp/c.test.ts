import { it } from 'vitest';
import { testDevice } from '../device';
import * as ops from '../../ops';
import { Graph, node, output } from '../../tensor/graph';
import { tensor } from '../../tensor/tensor';
import { compile } from '../../tensor/step';
import { single } from '../../tensor/family';
import { kernel } from '../../gpu/kernel';
import { pin, candidates } from '../check';
it('t', async () => {
  const device = await testDevice();
  const time = 256;
  for (const d of [16, 32, 64]) for (const rolled of (process.env.ROLLED ?? '0,1').split(',').map(Number)) for (const which of ['fwd', 'q', 'kv']) {
    const t0 = performance.now();
    const [q, k, v, dy] = ['q','k','v', 'dy'].map((n) => tensor(n, [1, time, d], 'input'));
    const graph = new Graph();
    const out = graph.record(() => {
      const y = ops.attention(q!, k!, v!, { heads: 1, kvHeads: 1, causal: true });
      if (which === 'fwd') return [y];
      const loss = output('p', [1]);
      node('p', { y }, [loss], () => ({ y: dy }));
      return graph.grad(loss, which === 'q' ? [q!] : [k!]);
    });
    graph.commands.forEach((c, i) => {
      let kern = candidates(c)[0]!;
      if (rolled) { const text = kern.source.replace(/i < D4;/g, 'i < min(D4, params.rows);'); kern = { ...kern, source: text, key: kern.key + ' rolled' }; }
      graph.commands[i] = { ...c, family: { ...single(kern), name: c.family.name } };
    });
    const step = await compile(device, graph, { keep: out });
    step.run();
    await step.read(out[0]!);
    const t1 = performance.now();
    for (let i = 0; i < 3; i++) { step.run(); await step.read(out[0]!); }
    console.log(which, d, rolled ? 'rolled' : 'unrolled', Math.round(t1 - t0), 'run', ((performance.now() - t1)/3).toFixed(1));
  }
}, 600000);
