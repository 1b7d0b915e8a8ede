import { expect, test } from 'vitest';
import { afterEvaluation, reasonToStop, unseen, type StoppingState } from './stopping';

/** Number of evaluations seen when the rules end the run, or null. */
function endsAt(rules: { stopAt?: number; patience?: number }, losses: readonly number[], from: StoppingState = unseen): number | null {
  let state = from;
  for (const [i, loss] of losses.entries()) {
    state = afterEvaluation(state, loss);
    if (reasonToStop(rules, state, loss) !== null) return i + 1;
  }
  return null;
}

test('a goal ends the run at the first loss that is not above it', () => {
  expect(endsAt({ stopAt: 2 }, [3, 2.001, 2, 1])).toBe(3);
  expect(endsAt({ stopAt: 0 }, [3, 2, 1e-9])).toBeNull();
});

test('patience counts evaluations since the lowest loss, and a new lowest begins the count again', () => {
  expect(endsAt({ patience: 2 }, [3, 2, 2.5, 1.9, 1.9, 2])).toBe(6);
  expect(endsAt({ patience: 1 }, [3, 3])).toBe(2);
  expect(endsAt({}, [3, 4, 5, 6])).toBeNull();
});

test('the state carries over a resume', () => {
  const losses = [3, 2, 2.5, 2.4, 2.3];
  const half = losses.slice(0, 3).reduce(afterEvaluation, unseen);
  expect(endsAt({ patience: 3 }, losses)).toBe(5);
  expect(endsAt({ patience: 3 }, losses.slice(3), half)).toBe(2);
});

test('the reason says the number', () => {
  expect(reasonToStop({ stopAt: 2.5 }, { best: 2.4, since: 0 }, 2.4)).toBe('Validation loss 2.400 reached the goal of 2.5: stopped.');
  expect(reasonToStop({ patience: 1 }, { best: 2.4, since: 1 }, 2.5)).toBe('No validation loss below 2.400 in 1 evaluation: stopped.');
});
