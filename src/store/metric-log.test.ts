import { describe, expect, it } from 'vitest';
import { MetricLog } from './metric-log';

const columns = (...rows: number[][]) => new Float32Array(rows.flat());

describe('MetricLog', () => {
  it('tells the time of a step between the reports around it, and of none beyond them', () => {
    const log = new MetricLog();
    log.appendTime('a', 10, 2);
    log.appendTime('a', 30, 4);
    expect([0, 5, 10, 20, 30].map((step) => log.secondsAt('a', step))).toEqual([0, 1, 2, 3, 4]);
    expect(log.secondsAt('a', 31)).toBeNull();
    expect(log.secondsAt('b', 1)).toBeNull();
    // A resumed run comes back to an earlier step.
    log.appendTime('a', 20, 2.5);
    expect(log.secondsAt('a', 30)).toBeNull();
  });

  it('comes back from what it keeps, and a kept copy no longer changes', () => {
    const log = new MetricLog();
    log.append('a', 1, ['loss'], new Float32Array([3, 2]));
    log.appendEval('a', 2, 2.5);
    for (let step = 1; step <= 40; step++) log.appendSnapshot('a', 'w', step, { rows: ['x'], columns: 1 << 15, values: new Float32Array(1 << 15).fill(step) });
    const kept = log.kept('a');
    log.append('a', 3, ['loss'], new Float32Array([1]));
    const again = new MetricLog();
    again.restore('a', kept);
    expect([...again.column('a', 'loss')]).toEqual([3, 2]);
    expect(again.evals('a')).toEqual({ steps: [2], losses: [2.5] });
    // Pictures are thinned to a megabyte; the newest is always among them.
    expect(again.snapshots('a', 'w').length).toBeLessThan(9);
    expect(again.snapshots('a', 'w').at(-1)?.step).toBe(40);
    again.append('a', 3, ['loss'], new Float32Array([9]));
    expect([...again.column('a', 'loss')]).toEqual([3, 2, 9]);
  });

  it('keeps columns by series, whatever the batches', () => {
    const log = new MetricLog();
    log.append('a', 1, ['loss', 'lr'], columns([5, 0.25], [4, 0.5]));
    log.append('a', 3, ['loss', 'lr'], columns([3, 0.75]));
    expect([...log.column('a', 'loss')]).toEqual([5, 4, 3]);
    expect([...log.column('a', 'lr')]).toEqual([0.25, 0.5, 0.75]);
    expect(log.length('a')).toBe(3);
    expect(log.last('a', 'loss')).toBe(3);
    expect(log.series('a')).toEqual(['loss', 'lr']);
  });

  it('grows far beyond its first room and loses nothing', () => {
    const log = new MetricLog();
    const steps = 20_000;
    for (let from = 1; from <= steps; from += 100) log.append('a', from, ['loss'], Float32Array.from({ length: 100 }, (_, i) => from + i));
    const loss = log.column('a', 'loss');
    expect(loss.length).toBe(steps);
    expect(loss.every((value, i) => value === i + 1)).toBe(true);
  });

  it('rewinds where a run resumes from an earlier step', () => {
    const log = new MetricLog();
    log.append('a', 1, ['loss'], columns([9], [8], [7], [6]));
    log.append('a', 3, ['loss'], columns([1]));
    expect([...log.column('a', 'loss')]).toEqual([9, 8, 1]);
    log.append('a', 4, ['loss'], columns([2]));
    expect([...log.column('a', 'loss')]).toEqual([9, 8, 1, 2]);
  });

  it('has no value, rather than a wrong one, where nothing was reported', () => {
    const log = new MetricLog();
    log.append('a', 1, ['loss'], columns([9], [8]));
    log.append('a', 5, ['loss', 'kept'], columns([5, 100]));
    expect([...log.column('a', 'loss')]).toEqual([9, 8, Number.NaN, Number.NaN, 5]);
    expect([...log.column('a', 'kept')]).toEqual([Number.NaN, Number.NaN, Number.NaN, Number.NaN, 100]);
    log.append('a', 6, ['loss'], columns([4]));
    expect(log.column('a', 'kept')[5]).toBeNaN();
    expect(log.last('a', 'kept')).toBe(100);
    expect(log.last('a', 'nothing')).toBeUndefined();
    expect(log.column('b', 'loss').length).toBe(0);
  });

  it('does not show the numbers from before a rewind when the run skips ahead later', () => {
    const log = new MetricLog();
    log.append('a', 1, ['loss'], columns([1], [2], [3], [4], [5]));
    log.append('a', 2, ['loss'], columns([20]));
    log.append('a', 5, ['loss'], columns([50]));
    expect([...log.column('a', 'loss')]).toEqual([1, 20, Number.NaN, Number.NaN, 50]);
  });

  it('replaces evaluations and snapshots that are reached again', () => {
    const log = new MetricLog();
    for (const [step, loss] of [[0, 5], [10, 4], [20, 3]] as const) log.appendEval('a', step, loss);
    log.appendEval('a', 10, 3.5);
    expect(log.evals('a')).toEqual({ steps: [0, 10], losses: [5, 3.5] });
    const data = { rows: ['x'], columns: 1, values: new Float32Array([1]) };
    for (const step of [0, 10, 20, 10]) log.appendSnapshot('a', 'gates', step, data);
    expect(log.snapshots('a', 'gates').map((entry) => entry.step)).toEqual([0, 10]);
  });

  it('thins snapshots evenly and keeps the first and the newest', () => {
    const log = new MetricLog();
    const data = { rows: ['x'], columns: 1, values: new Float32Array([1]) };
    for (let step = 0; step < 1000; step++) log.appendSnapshot('a', 'gates', step, data);
    const steps = log.snapshots('a', 'gates').map((entry) => entry.step);
    expect(steps.length).toBeLessThanOrEqual(128);
    expect(steps[0]).toBe(0);
    expect(steps.at(-1)).toBe(999);
  });

  it('writes a table with step 0 where it was evaluated', () => {
    const log = new MetricLog();
    log.appendEval('a', 0, 5);
    log.append('a', 1, ['loss', 'lr'], columns([4.5, 0.001], [4, 0.002]));
    log.appendEval('a', 2, 3.5);
    expect(log.toCsv('a')).toBe('step,loss,lr,validation_loss\n0,,,5\n1,4.5,0.001,\n2,4,0.002,3.5\n');
  });
});
