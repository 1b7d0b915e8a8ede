// Training from nothing: how weights begin that no checkpoint gave, and the recipe over them.
import type { Init } from '../../engine/nn/init';
import type { Tensor } from '../../engine/tensor/tensor';
import type { Trainer } from '../host';
import { fineTune } from './fine-tune';

/** `initializer_range` of transformers: the spread of every matrix and table of a new model. */
const SPREAD = 0.02;

/** How a weight of a new model begins, as in transformers: matrices and tables N(0, 0.02²), biases 0, scales of norms 1. */
export function fresh(weight: Tensor): Init {
  if (weight.shape.length > 1) return { kind: 'normal', std: SPREAD };
  return { kind: weight.label.endsWith('bias') ? 'zeros' : 'ones' };
}

/** The phases one after another, by a method whose parameters begin `fresh`; the log says so, since a curve alone does not. */
export async function pretrain(run: Trainer): Promise<void> {
  if (run.state.fresh !== true) {
    run.state.fresh = true;
    run.note('What trains began at random; what does not train is the checkpoint’s');
  }
  await fineTune(run);
}
