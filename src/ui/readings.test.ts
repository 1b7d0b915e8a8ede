import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scheduleShare } from '../engine/optim/schedule';
import { defaultRun, defaultTraining } from '../store/contract';
import { commandOf } from './build/command';
import { plannedCurve, plannedRate } from './build/schedule';
import { PRESETS, presetOf } from './build/training-fields';
import { decimate } from './charts/decimate';
import { Smoother } from './charts/smooth';
import { linearTicks, logTicks } from './charts/ticks';
import { fromFiles } from './controls/files';
import { scaleOf } from './controls/scale';
import { bytes, clock, count, flops, millions, percent, setting, tick, tickFormat } from './format';
import { runColor } from './train/run-color';
import { sharedStart } from './train/shared-start';
import { detectBrowser } from './unsupported/browser-steps';
import { keptIn, keptTotal, largest, overview, rowsOf, shortName } from './views/heatmap';

describe('numbers as people read them', () => {
  it('keeps units and digits apart', () => {
    expect(count(17_309_568)).toBe('17,309,568');
    expect(millions(1_613_440)).toBe('1.6 M');
    expect([bytes(999), bytes(34_629_128), bytes(1_073_741_824)]).toEqual(['999 B', '34.6 MB', '1.07 GB']);
    expect([clock(4.4), clock(69), clock(3753)]).toEqual(['0:04', '1:09', '1:02:33']);
    expect([setting(0.003), setting(1.5e-4), setting(0.01), setting(64)]).toEqual(['3e-3', '1.5e-4', '0.01', '64']);
    expect([percent(0.0688), percent(0.00001), percent(2e-7), percent(0)]).toEqual(['6.88 %', '0.001 %', '0.00002 %', '0.00 %']);
    expect([flops(2.48e9), flops(2.1e11), flops(1.2e12)]).toEqual(['2.48 GFLOP', '210 GFLOP', '1.2 TFLOP']);
    expect([tick(0), tick(3.1234), tick(0.00012)]).toEqual(['0', '3.12', '1.2e-4']);
    expect([3, 3.25, 3.5].map(tickFormat([3, 3.25, 3.5]))).toEqual(['3.00', '3.25', '3.50']);
    expect([0, 0.001, 0.002].map(tickFormat([0, 0.001, 0.002]))).toEqual(['0', '1e-3', '2e-3']);
  });
});

describe('the smoothed line', () => {
  it('starts at the first value, not at zero, and equals the raw one at weight 0', () => {
    const column = new Float32Array([4, 2, 6]);
    expect([...new Smoother().values(column, 0)]).toEqual([4, 2, 6]);
    expect(new Smoother().values(column, 0.9)[0]).toBeCloseTo(4);
  });

  it('continued equals computed at once, also after a rewind', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: 0, max: 10, noNaN: true }), { minLength: 1, maxLength: 60 }), fc.nat(59), fc.double({ min: 0, max: 0.99, noNaN: true }), (values, cut, weight) => {
        const column = Float32Array.from(values);
        const smoother = new Smoother();
        smoother.values(column.subarray(0, Math.min(cut, column.length)), weight);
        const continued = [...smoother.values(column, weight)];
        expect(continued).toEqual([...new Smoother().values(column, weight)]);
        const other = Float32Array.from(values, (value) => value + 1);
        expect([...smoother.values(other, weight)]).toEqual([...new Smoother().values(other, weight)]);
      }),
    );
  });

  it('leaves a gap where there is no value', () => {
    const smooth = new Smoother().values(new Float32Array([1, Number.NaN, 3]), 0.5);
    expect(smooth[1]).toBeNaN();
    expect(smooth[2]).toBeGreaterThan(1);
  });
});

describe('fewer points', () => {
  it('shows every step while there is room', () => {
    expect(decimate(new Float32Array([5, Number.NaN, 3]), 1, 3, 10)).toEqual({ x: [1, 2, 3], y: [5, null, 3] });
  });

  it('never loses the extremes and stays in order', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 300, maxLength: 900 }), (values) => {
        const column = Float32Array.from(values);
        const { x, y } = decimate(column, 1, column.length, 100);
        expect(x.length).toBeLessThanOrEqual(102);
        expect([...x].sort((a, b) => a - b)).toEqual(x);
        const shown = y.filter((value) => value !== null);
        expect(Math.max(...shown)).toBe(Math.max(...column));
        expect(Math.min(...shown)).toBe(Math.min(...column));
      }),
      { numRuns: 40 },
    );
  });
});

describe('ticks', () => {
  it('are round and inside, also on a logarithmic axis of less than a decade', () => {
    expect(linearTicks(0, 200, 4)).toEqual([0, 50, 100, 150, 200]);
    expect(logTicks(1, 1000)).toEqual([1, 10, 100, 1000]);
    const ticks = logTicks(2.9, 5.4);
    expect(ticks.length).toBeGreaterThanOrEqual(3);
    expect(ticks.every((value) => value >= 2.9 && value <= 5.4)).toBe(true);
    expect(logTicks(0, 1)).toEqual([]);
  });
});

describe('sliders', () => {
  const rank = scaleOf({ kind: 'int', label: '', help: '', default: 8, min: 1, max: 128, log: true });
  it('go there and back on a logarithmic scale, and always move a whole number', () => {
    expect(rank.value(rank.min)).toBe(1);
    expect(rank.value(rank.max)).toBe(128);
    expect(rank.value(rank.position(8))).toBe(8);
    for (let value = 1; value < 128; value = rank.next(value, 1)) expect(rank.next(value, 1)).toBeGreaterThan(value);
  });
  it('reach zero on a logarithmic scale where the field does', () => {
    const xi = scaleOf({ kind: 'float', label: '', help: '', default: 3e-4, min: 0, max: 1, log: true });
    expect(xi.value(0)).toBe(0);
    expect(xi.position(0)).toBe(0);
    expect(xi.value(xi.position(3e-4))).toBe(3e-4);
    expect(xi.next(0, 1)).toBeGreaterThan(0);
  });
  it('give round numbers on a plain scale', () => {
    const share = scaleOf({ kind: 'float', label: '', help: '', default: 0.1, min: 0, max: 0.5 });
    expect(share.next(0.1, 1)).toBeCloseTo(0.105);
    expect(share.value(0.123456)).toBe(0.125);
  });
});

describe('the training block', () => {
  it('knows its presets, and no other', () => {
    expect(presetOf(defaultTraining)).toBe('balanced');
    expect(presetOf({ ...defaultTraining, ...PRESETS.quick, seed: 99, clip: 3 })).toBe('quick');
    expect(presetOf({ ...defaultTraining, lr: 0.5 })).toBe('');
  });

  it('draws the schedule from warm-up to its end', () => {
    for (const schedule of ['constant', 'linear', 'cosine'] as const) {
      for (const [steps, warmup] of [[110, 10], [5, 0], [8, 8]] as const) {
        for (let step = 1; step <= steps; step++) expect(plannedRate({ lr: 1, warmup, steps, schedule }, step)).toBeCloseTo(scheduleShare(schedule, step, steps, warmup), 12);
      }
    }
    const { x } = plannedCurve({ ...defaultTraining, steps: 1000, warmup: 33 }, 0, 20);
    expect(x[0]).toBe(0);
    expect(x.at(-1)).toBe(1000);
    expect(x).toContain(33);
  });

  it('is a command that a shell reads as it stands', () => {
    expect(commandOf({ ...defaultRun, method: { slug: 'lora', fields: { rank: 16 } }, targets: '\\.(q_proj|v_proj)$' })).toBe("lowrank finetune --model public/models/tale-1m --data public/data/king-james/data.txt --method lora --set rank=16 --targets '\\.(q_proj|v_proj)$' --steps 200 --batch 4 --seq 64 --lr 2e-3 --seed 7 --eval-every 25 --out out/lora");
    expect(commandOf({ ...defaultRun, training: { ...defaultTraining, schedule: 'cosine', beta2: 0.95, clip: 0, evalEvery: 0 } })).toContain('--set beta2=0.95 --steps 200 --batch 4 --seq 64 --lr 2e-3 --seed 7 --schedule cosine --clip 0 --out');
    expect(commandOf({ ...defaultRun, data: { kind: 'file', name: "it's.txt" } })).toContain(`--data 'it'\\''s.txt'`);
  });
});

describe('heat maps', () => {
  const data = { rows: ['model.layers.0.self_attn.q_proj', 'model.layers.0.mlp.up_proj', 'model.layers.1.self_attn.q_proj'], columns: 3, values: new Float32Array([1, 0, -2, 0, 0, 0, 1, 1, 1]) };
  const sites = [['model.layers.0.self_attn.q_proj', 0, 'q_proj'], ['model.layers.0.mlp.up_proj', 0, 'up_proj'], ['model.layers.1.self_attn.q_proj', 1, 'q_proj']].map(([name, depth, module]) => ({ name: name as string, depth: depth as number, module: module as string, shape: [1, 1] as [number, number] }));

  it('count what is not zero and find the top of the ramp', () => {
    expect([0, 1, 2].map((row) => keptIn(data, row))).toEqual([2, 0, 3]);
    expect(keptTotal(data)).toBe(5);
    expect(largest(data)).toBe(2);
  });

  it('sort without losing the model’s order among equals', () => {
    expect(rowsOf(data, 'most').map((row) => row.index)).toEqual([2, 0, 1]);
    expect(rowsOf(data, 'fewest').map((row) => row.index)).toEqual([1, 0, 2]);
    expect(rowsOf(data).map((row) => row.index)).toEqual([0, 1, 2]);
  });

  it('lie over the model where the rows are its sites, and nowhere else', () => {
    const table = overview(data, sites);
    expect(table?.depths).toEqual([0, 1]);
    expect(table?.at(1, 'q_proj')?.kept).toBe(3);
    expect(table?.at(1, 'up_proj')).toBeUndefined();
    expect(overview({ ...data, rows: ['x', 'y', 'z'] }, sites)).toBeNull();
    expect(shortName('model.layers.11.mlp.down_proj')).toBe('11 down_proj');
  });
});

describe('texts before and now', () => {
  it('agree in whole words from the start', () => {
    expect(sharedStart('a girl named Lily.', 'a girl named Li.')).toEqual(['a girl named', ' Li.']);
    expect(sharedStart('same', 'same')).toEqual(['same', '']);
    expect(sharedStart('one', 'two')).toEqual(['', 'two']);
  });
});

describe('what is given to the page', () => {
  const file = (name: string, path = '') => {
    const made = new File(['x'], name);
    Object.defineProperty(made, 'webkitRelativePath', { value: path });
    return made;
  };
  it('is a model where it looks like one, else data', () => {
    expect(fromFiles([file('config.json', 'SmolLM/config.json'), file('model.safetensors', 'SmolLM/model.safetensors')])).toMatchObject({ kind: 'folder', name: 'SmolLM', files: [{ name: 'config.json' }, { name: 'model.safetensors' }] });
    expect(fromFiles([file('model.safetensors')])).toMatchObject({ kind: 'folder', name: 'model' });
    expect(fromFiles([file('logs.jsonl')])).toMatchObject({ kind: 'file' });
    expect(fromFiles([])).toEqual({ kind: 'nothing' });
  });
});

it('the chosen run is always the accent', () => {
  expect(['a', 'b', 'c'].map((run) => runColor(['a', 'b', 'c'], 'b', run))).toEqual(['s-2', 'accent', 's-3']);
});

it('the browser’s own steps are opened', () => {
  const agents = ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36', 'Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36', 'Mozilla/5.0 (X11; Linux) Gecko/20100101 Firefox/145.0', 'Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15'];
  expect(agents.map(detectBrowser)).toEqual(['chrome-linux', 'chrome', 'firefox', 'safari']);
});
