// Vectors over all trainable numbers: snapshots, gradients, and sums of them, for recipes that search or average.
import type { Device } from '../engine/gpu/device';
import { columnDot, reshape } from '../engine/ops';
import type { AdamW } from '../engine/optim/adamw';
import { accumulate } from '../engine/optim/vectors';
import { Graph } from '../engine/tensor/graph';
import { allocate, free, sliceOf, write } from '../engine/tensor/memory';
import { type Step, compile } from '../engine/tensor/step';
import { type Tensor, elements, tensor } from '../engine/tensor/tensor';
import type { Attachment } from './attach';
import type { TrainingConfig } from './config';
import type { BoundMethod } from './contract';
import type { Vector } from './host';
import type { LoadedModel } from './loaded';
import { recordGradients } from './step';
import { type BatchTensors, type TokenBatch, batchTensors, hostInputs, shapeOf } from './task';

export class Vectors {
  private readonly made = new Set<Tensor>();
  private objective: { step: Step; inputs: BatchTensors } | null = null;

  constructor(
    private readonly device: Device, private readonly loaded: LoadedModel, private readonly bound: BoundMethod,
    private readonly attachment: Attachment, private readonly adamw: AdamW, private readonly training: TrainingConfig,
  ) {}

  snapshot(): Vector {
    return this.copyOf(this.adamw.params);
  }

  load({ tensor: from }: Vector): void {
    this.copy(from, this.adamw.params);
  }

  /** The gradient of what is minimised, at the present numbers. `step` and seed decide the draws of dropout. */
  async gradient(batch: TokenBatch, step: number): Promise<Vector> {
    this.objective ??= await this.compileObjective();
    const { inputs, step: compiled } = this.objective;
    compiled.run(hostInputs(inputs, batch), { step, seed: this.training.seed });
    return this.copyOf(this.adamw.gradients);
  }

  /** y ← y + a·x. */
  async axpy({ tensor: y }: Vector, a: number, { tensor: x }: Vector): Promise<void> {
    const factor = tensor('a', [1], 'input');
    write(this.device, factor, Float32Array.of(a));
    const graph = new Graph();
    graph.record(() => accumulate(y, factor, x));
    const step = await compile(this.device, graph);
    step.run();
    step.dispose();
    free(this.device, factor);
  }

  async dot({ tensor: x }: Vector, { tensor: y }: Vector): Promise<number> {
    const graph = new Graph();
    const sum = graph.record(() => columnDot(reshape(x, [elements(x), 1]), reshape(y, [elements(y), 1])));
    const step = await compile(this.device, graph, { keep: [sum] });
    step.run();
    const [value] = await step.read(sum);
    step.dispose();
    return value as number;
  }

  free({ tensor: t }: Vector): void {
    this.made.delete(t);
    free(this.device, t);
  }

  dispose(): void {
    for (const t of [...this.made, ...(this.objective ? (Object.values(this.objective.inputs) as Tensor[]) : [])]) free(this.device, t);
    this.objective?.step.dispose();
    this.objective = null;
    this.made.clear();
  }

  private copyOf(from: Tensor): Vector {
    const to = tensor('vector', from.shape, 'param');
    allocate(this.device, to);
    this.made.add(to);
    this.copy(from, to);
    return { tensor: to };
  }

  private copy(from: Tensor, to: Tensor): void {
    const encoder = this.device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(sliceOf(this.device, from).buffer, 0, sliceOf(this.device, to).buffer, 0, 4 * elements(from));
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  /** Gradients go into the arena of the training step, which every step writes afresh. */
  private async compileObjective() {
    const { loaded, bound, attachment, adamw, training } = this;
    const inputs = batchTensors(loaded, shapeOf(loaded, training));
    const graph = new Graph();
    const { gradients, joint } = graph.record(() => recordGradients(graph, loaded, bound, attachment, inputs, adamw));
    return { step: await compile(this.device, graph, { place: adamw.places(this.device, gradients, [], joint) }), inputs };
  }
}
