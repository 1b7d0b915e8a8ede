// Loss and logits on fixed batches.
import type { Device } from '../engine/gpu/device';
import type { Adapters } from '../engine/nn/site';
import { crossEntropy } from '../engine/ops';
import { Graph } from '../engine/tensor/graph';
import { free } from '../engine/tensor/memory';
import { type Step, compile } from '../engine/tensor/step';
import { type Tensor, tensor } from '../engine/tensor/tensor';
import { StudioError } from '../util/errors';
import type { BoundMethod } from './contract';
import type { LoadedModel } from './loaded';
import { callModel, taskLoss } from './task-loss';

export interface TokenBatch {
  /** [batch, time] */
  readonly input_ids: Uint32Array;
  /** [batch, time], −100 = no loss, not shifted. */
  readonly labels: Int32Array;
  /** [batch, time], 0 = padding. */
  readonly attention_mask?: Uint32Array | undefined;
}

export interface EvaluationOptions {
  /** All logits are to be read too. */
  readonly logits?: boolean;
  /** Batches come with padding masks. */
  readonly mask?: boolean;
  /** The method through whose hooks a call goes. */
  readonly bound?: BoundMethod;
}

/** Records a forward pass with its loss; allocates nothing. */
export function recordEvaluation(loaded: LoadedModel, adapters: Adapters, shape: readonly [number, number], options: EvaluationOptions = {}) {
  const [ids, labels] = [tensor('input_ids', shape, 'input', 'u32'), tensor('labels', shape, 'input', 'i32')];
  const mask = options.mask ? tensor('attention_mask', shape, 'input', 'u32') : undefined;
  const graph = new Graph();
  return graph.record(() => {
    const call = { ids, training: false, ...(mask ? { mask } : {}) };
    if (!options.logits) return { graph, ids, labels, mask, ...taskLoss(loaded, adapters, call, labels, options.bound), logits: undefined };
    const logits = callModel(loaded, adapters, call, options.bound);
    return { graph, ids, labels, mask, logits, ...crossEntropy(logits, labels, 1) };
  });
}

/** A compiled forward pass for batches of one shape. */
export class Evaluator {
  private constructor(
    private readonly device: Device, private readonly step: Step, private readonly ids: Tensor, private readonly labels: Tensor, private readonly mask: Tensor | undefined,
    private readonly loss: Tensor, private readonly count: Tensor, private readonly logits: Tensor | undefined,
  ) {}

  static async create(device: Device, loaded: LoadedModel, adapters: Adapters, shape: readonly [number, number], options: EvaluationOptions = {}): Promise<Evaluator> {
    const { graph, ids, labels, mask, loss, count, logits } = recordEvaluation(loaded, adapters, shape, options);
    const step = await compile(device, graph, { keep: [loss, count, ...(logits ? [logits] : [])] });
    return new Evaluator(device, step, ids, labels, mask, loss, count, logits);
  }

  /** Mean loss in nats over the labelled tokens of this batch, and how many they are. */
  async one(batch: TokenBatch): Promise<{ loss: number; tokens: number }> {
    this.submit(batch);
    const [loss, count] = await Promise.all([this.step.read(this.loss), this.step.read(this.count)]);
    return { loss: loss[0] as number, tokens: count[0] as number };
  }

  /** Mean over the labelled tokens of all batches. */
  async mean(batches: readonly TokenBatch[]): Promise<{ loss: number; tokens: number }> {
    let [sum, tokens] = [0, 0];
    for (const batch of batches) {
      const part = await this.one(batch);
      sum += part.loss * part.tokens;
      tokens += part.tokens;
    }
    return { loss: sum / Math.max(tokens, 1), tokens };
  }

  /** [batch, time, vocab]; wants `logits` at creation. */
  async logitsOf(batch: TokenBatch): Promise<Float32Array> {
    if (!this.logits) throw new StudioError('Evaluator.logitsOf: it was created without logits', 'Pass { logits: true } to create.');
    this.submit(batch);
    return this.step.read(this.logits);
  }

  /** Floating-point operations of one batch. */
  get flops(): number {
    return this.step.cost.flops;
  }

  dispose(): void {
    this.step.dispose();
    for (const t of [this.ids, this.labels, this.mask]) if (t) free(this.device, t);
  }

  private submit({ input_ids, labels, attention_mask }: TokenBatch): void {
    const inputs = new Map<Tensor, Uint32Array | Int32Array>([[this.ids, input_ids], [this.labels, labels]]);
    if (this.mask) inputs.set(this.mask, attention_mask ?? new Uint32Array(input_ids.length).fill(1));
    this.step.run(inputs);
  }
}
