// Loss and logits on fixed batches.
import type { Device } from '../engine/gpu/device';
import type { Adapters } from '../engine/nn/site';
import { positionLosses } from '../engine/ops';
import { Graph } from '../engine/tensor/graph';
import { free } from '../engine/tensor/memory';
import { type Step, compile } from '../engine/tensor/step';
import { type Tensor, lastOf } from '../engine/tensor/tensor';
import { labelsOf, labelsRows } from '../models/model';
import { embedPairs, matchPairs } from '../models/shared';
import { StudioError } from '../util/errors';
import type { BoundMethod } from './contract';
import type { LoadedModel } from './loaded';
import type { RowInsight } from './events';
import { classInsights, pairInsights, tagInsights, withStanding } from './insights';
import { type Pairs, type Tagged, addPairs, addTagged, confusion, cosinesOf, metricsOf } from './metrics';
import { type BatchTensors, type TokenBatch, batchTensors, callOf, hostInputs } from './task';
import { type Call, bothWays, callModel, lossOf, taskLoss } from './task-loss';
import type { Metrics } from './tasks';

export type { TokenBatch } from './task';

export interface EvaluationOptions {
  /** All logits are to be read too. */
  readonly logits?: boolean;
  /** Batches for a decoder come with padding masks. */
  readonly mask?: boolean;
  /** Cosines of what is matched are to be read too, of pictures with the texts of classes as well. */
  readonly cosines?: boolean;
  /** The loss of every row of a causal model is to be read too; all logits are recorded for it. */
  readonly rows?: boolean;
  /** The method through whose hooks a call goes. */
  readonly bound?: BoundMethod;
  /** What stands in for the weights of heads. */
  readonly heads?: ReadonlyMap<string, Tensor>;
}

/** Records a forward pass with its loss; allocates nothing. */
export function recordEvaluation(loaded: LoadedModel, adapters: Adapters, shape: readonly [number, number], { logits: wanted, cosines, mask, rows, bound, heads }: EvaluationOptions = {}) {
  const inputs = batchTensors(loaded, shape, mask);
  const graph = new Graph();
  return graph.record(() => {
    const call = callOf(inputs, { training: false, ...(heads ? { heads } : {}) });
    const byRow = rows && loaded.task.kind === 'causal-lm';
    if (loaded.task.kind === 'image-caption' || loaded.task.kind === 'sentence-embedding' || (cosines && loaded.task.kind === 'image-text')) return { graph, inputs, ...recordPairs(loaded, adapters, call, inputs.labels), losses: undefined };
    if (!wanted && !byRow && labelsOf(loaded.task) === null) return { graph, inputs, ...taskLoss(loaded, adapters, call, inputs.labels, bound), logits: undefined, losses: undefined };
    const logits = callModel(loaded, adapters, call, bound);
    return { graph, inputs, logits: byRow && !wanted ? undefined : logits, ...lossOf(loaded, logits, inputs.labels), losses: byRow ? positionLosses(logits, inputs.labels, 1) : undefined };
  });
}

/** Pictures and texts, or pairs of texts: the logits of one another, and both in the space that they share, [batch, size] and [texts, size], which rows of other batches are held against. */
function recordPairs(loaded: LoadedModel, adapters: Adapters, call: Call, labels: Tensor) {
  const { model, network, config, task } = loaded;
  const scope = network.scope({ ...call, adapters });
  if (task.kind === 'sentence-embedding') {
    const pair = embedPairs(scope, model.trunk(scope, config));
    const logits = matchPairs(scope, pair, task);
    return { logits, ...lossOf(loaded, logits, labels), pair };
  }
  if (!model.texts) throw new StudioError(`${model.id}: it has no tower for texts`);
  const first = model.trunk(scope, config), second = model.texts.embed(scope, config);
  const logits = model.texts.match(scope, config, first, second);
  return { logits, ...lossOf(loaded, logits, labels), pair: { first, second } };
}

export interface Evaluation {
  /** Mean over the labels, nats. */
  readonly loss: number;
  /** Labels that took part: tokens of language models, rows of classification. */
  readonly tokens: number;
  /** Those of the task; none where nothing carried loss. */
  readonly metrics: Metrics;
  /** Of classification, words and pairs: every row with a label. */
  readonly rows: readonly RowInsight[];
  /** Of classification: counts [wanted, given]. */
  readonly counts: Float64Array | null;
}

/** A compiled forward pass for batches of one shape. */
export class Evaluator {
  private constructor(
    private readonly device: Device, private readonly loaded: LoadedModel, private readonly step: Step, private readonly inputs: BatchTensors,
    private readonly loss: Tensor, private readonly count: Tensor, private readonly logits: Tensor | undefined, private readonly losses: Tensor | undefined,
    private readonly pair: { readonly first: Tensor; readonly second: Tensor } | undefined,
  ) {}

  static async create(device: Device, loaded: LoadedModel, adapters: Adapters, shape: readonly [number, number], options: EvaluationOptions = {}): Promise<Evaluator> {
    const recorded = recordEvaluation(loaded, adapters, shape, options);
    const { graph, inputs, loss, count, logits, losses } = recorded;
    const pair = 'pair' in recorded ? recorded.pair : undefined;
    const step = await compile(device, graph, { keep: [loss, count, ...(logits ? [logits] : []), ...(losses ? [losses] : []), ...(pair ? [pair.first, pair.second] : [])] });
    return new Evaluator(device, loaded, step, inputs, loss, count, logits, losses, pair);
  }

  /** Mean loss in nats over the labels of this batch, and how many they are. */
  async one(batch: TokenBatch): Promise<{ loss: number; tokens: number }> {
    this.submit(batch);
    const [loss, count] = await Promise.all([this.step.read(this.loss), this.step.read(this.count)]);
    return { loss: loss[0] as number, tokens: count[0] as number };
  }

  /** Over all labels of all batches. */
  async mean(batches: readonly TokenBatch[]): Promise<Evaluation> {
    const { task } = this.loaded;
    const names = labelsOf(task);
    const counts = names && new Float64Array(names.length ** 2);
    const rows: RowInsight[] = [];
    const tagged: Tagged[] = [];
    const pairs: Pairs = { first: [], second: [], scored: [] };
    let [sum, tokens, first] = [0, 0, 0];
    for (const batch of batches) {
      const part = await this.one(batch);
      sum += part.loss * part.tokens;
      tokens += part.tokens;
      if (names && counts) {
        const logits = await this.step.read(this.logits as Tensor);
        confusion(logits, batch.labels, names.length).forEach((n, i) => { counts[i] = (counts[i] as number) + n; });
        if (labelsRows(task)) rows.push(...classInsights(logits, batch.labels, names, first));
        else {
          const time = batch.labels.length / (this.inputs.labels.shape[0] as number);
          rows.push(...tagInsights(logits, batch.labels, names, time, first / time));
          addTagged(tagged, logits, batch.labels, names, time);
        }
      }
      if (this.pair) {
        const [left, right, logits] = await Promise.all([this.pair.first, this.pair.second, this.logits as Tensor].map((t) => this.step.read(t)));
        const [size] = this.pair.first.shape.slice(1) as [number];
        addPairs(pairs, left as Float32Array, right as Float32Array, batch, size);
        rows.push(...pairInsights(logits as Float32Array, batch.labels, first, bothWays(task)));
      }
      first += batch.labels.length;
    }
    const loss = sum / Math.max(tokens, 1);
    const found = { counts, pairs: this.pair ? pairs : null, tagged };
    return { loss, tokens, rows: this.pair ? withStanding(rows, pairs) : rows, counts, metrics: tokens > 0 ? metricsOf(task, loss, found) : {} };
  }

  /** The same with the mean loss and the labelled tokens of each row; without `rows` at creation there are none. */
  async byRow(batch: TokenBatch): Promise<{ loss: number; tokens: number; rows: { loss: number; tokens: number }[] }> {
    const { losses } = this;
    if (!losses) return { ...(await this.one(batch)), rows: [] };
    this.submit(batch);
    const [loss, count, values] = (await Promise.all([this.loss, this.count, losses].map((t) => this.step.read(t)))) as [Float32Array, Float32Array, Float32Array];
    const [rows, time] = this.inputs.labels.shape as [number, number];
    return {
      loss: loss[0] as number,
      tokens: count[0] as number,
      rows: Array.from({ length: rows }, (_, row) => {
        // A row's first token is never predicted.
        const tokens = batch.labels.subarray(row * time + 1, (row + 1) * time).filter((label) => label >= 0).length;
        return { loss: values.subarray(row * time, (row + 1) * time).reduce((a, b) => a + b, 0) / Math.max(tokens, 1), tokens };
      }),
    };
  }

  /** [batch, time, vocab] of language models, which want `logits` at creation; [batch, classes] of classification, [batch, time, classes] of words. */
  async logitsOf(batch: TokenBatch): Promise<Float32Array> {
    if (!this.logits) throw new StudioError('Evaluator.logitsOf: it was created without logits', 'Pass { logits: true } to create.');
    this.submit(batch);
    return this.step.read(this.logits);
  }

  /** Floating-point operations of one batch. */
  get flops(): number {
    return this.step.cost.flops;
  }

  /** Of what is matched: logits and cosines [rows, others], of pictures with texts or of first texts with second ones. */
  async match(batch: TokenBatch): Promise<{ logits: Float32Array; cosines: Float32Array }> {
    if (!this.pair || !this.logits) throw new StudioError('Evaluator.match: nothing is matched in it', 'Pass { cosines: true } to create, for a task that matches.');
    this.submit(batch);
    const { first, second } = this.pair;
    const [logits, left, right] = (await Promise.all([this.logits, first, second].map((t) => this.step.read(t)))) as [Float32Array, Float32Array, Float32Array];
    return { logits, cosines: cosinesOf(left, right, lastOf(first)) };
  }

  dispose(): void {
    this.step.dispose();
    for (const t of Object.values(this.inputs) as Tensor[]) free(this.device, t);
  }

  private submit(batch: TokenBatch): void {
    this.step.run(hostInputs(this.inputs, batch));
  }
}
