// f64 form of loss.ts.
import { type Bounded, DIVISION, type Expected, type Host, expected, exponential, logarithm, matrix, range, sum } from '../testing/reference';

/** The label that each row is to predict; −1 = none. A label outside the vocabulary is none. */
export function targets(labels: Host, vocab: number, shift: number): number[] {
  const { columns: time } = matrix(labels);
  return range(labels.data.length).map((row) => {
    if ((row % time) + shift >= time) return -1;
    const label = labels.data[row + shift] as number;
    return label >= vocab ? -1 : label;
  });
}

/**
 * lse − logit of the label. Each exponential has the builtin's error and passes on that of its argument (one rounding); relative to
 * their sum that is the error of the logarithm's argument, hence absolute for the logarithm; then two sums.
 */
function rowLoss(logits: readonly number[], label: number): Bounded {
  const top = Math.max(...logits);
  const total = sum(logits.map((l) => ({ value: Math.exp(l - top), error: Math.exp(l - top) * (exponential(l - top) + Math.abs(l - top)) })));
  const lse = top + Math.log(total.value);
  const value = lse - (logits[label] as number);
  return { value, error: total.error / total.value + logarithm(total.value) + Math.abs(lse) + Math.abs(value) };
}

/** The mean over rows that have a label, and their number. */
export function crossEntropy(logits: Host, labels: Host, shift: 0 | 1): { loss: Expected; count: Expected } {
  const { columns: vocab, at } = matrix(logits);
  const losses: Bounded[] = [];
  targets(labels, vocab, shift).forEach((label, row) => {
    if (label >= 0) losses.push(rowLoss(range(vocab).map((v) => at(row, v)), label));
  });
  const total = sum(losses);
  const count = Math.max(losses.length, 1);
  const value = total.value / count;
  return {
    loss: expected([1], () => ({ value, error: total.error / count + DIVISION * Math.abs(value) })),
    count: expected([1], () => ({ value: losses.length, error: 0 })),
  };
}
