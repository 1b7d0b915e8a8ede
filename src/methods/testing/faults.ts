// Methods that break a promise, to see the conformance checks fail on them.
import { matmul, scale } from '../../engine/ops';
import { view } from '../../engine/tensor/tensor';
import type { Method } from '../../training/contract';
import type { Case } from './conformance';
import { delta, joint, masked, reader } from './kinds';

const anyMethod = (method: unknown) => method as Method;
const lossy = anyMethod(joint);
const attached = (method: Method, change: (adapter: NonNullable<ReturnType<Method['attach']>>) => object): Method => ({
  ...method,
  attach: (...args) => {
    const adapter = method.attach(...args);
    return adapter && { ...adapter, ...change(adapter) };
  },
});

/** Counts outside of the run's state. */
let calls = 0;

export const faults: readonly { what: string; check: string; method: Method; start?: Case['start'] }[] = [
  {
    what: 'a gradient that stops at the layer’s output', check: 'every gradient',
    method: {
      ...anyMethod(reader),
      attach: (site, config, context) => {
        const adapter = anyMethod(reader).attach(site, config, context);
        // The same numbers, off the tape.
        return adapter && { ...adapter, apply: (x, call) => adapter.apply?.call({}, view(x, x.shape), call) ?? x };
      },
    },
  },
  { what: 'a base that takes part in the update', check: 'bit for bit as it was', method: { ...lossy, afterUpdate: ({ sites, keep }) => { for (const { site } of sites) keep(site.weight, scale(site.weight, 0.999)); } } },
  { what: 'a frozen factor that moves', check: 'bit for bit as it was', start: 'close', method: { ...anyMethod(delta), afterUpdate: ({ sites, keep }) => { for (const { params } of sites) if (params.A0) keep(params.A0.tensor, scale(params.A0.tensor, 1.001)); } } },
  { what: 'an export that rounds', check: 'merged weights', method: attached(lossy, ({ lora }) => ({ lora: (values: Readonly<Record<string, Float32Array>>) => { const all = lora?.(values); return all && { ...all, B: all.B.map((b) => Math.round(b * 256) / 256) }; } })) },
  { what: 'an export without the scale', check: 'merged weights', method: attached(anyMethod(delta), ({ lora }) => ({ lora: (values: Readonly<Record<string, Float32Array>>) => { const all = lora?.(values); return all && { ...all, scale: 1 }; } })), start: 'close' },
  { what: 'a weight that is not what apply does', check: 'apply(x)', method: attached(lossy, ({ params }) => ({ weight: () => matmul(params.B!.tensor, params.A!.tensor) })) },
  { what: 'a start that is not taken away', check: 'at the start', method: attached(anyMethod(delta), ({ params }) => ({ apply: undefined, weight: () => matmul(params.B!.tensor, params.A!.tensor, { alpha: 2 }) })), start: 'close' },
  { what: 'a count that leaves B out', check: 'counted', method: { ...lossy, trainable: ([, inn], config) => Number(config.rank) * inn } },
  { what: 'something remembered outside the state', check: 'resumed', method: { ...anyMethod(masked), beforeStep: (host, config) => { calls++; host.set('drawn', calls % 3); host.setMask('pair', new Uint32Array(Number(config.rank)).fill(1)); } } },
  { what: 'a schedule of its own clock', check: 'same seed', method: { ...anyMethod(masked), beforeStep: (host) => { calls++; host.set('drawn', calls / 7); } } },
];
