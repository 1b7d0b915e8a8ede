// The project for a cluster: complete, in agreement with the run, and with the same rows held out. The last part runs its Python with
// the large packages stubbed, where a python3 is at hand; LOWRANK_PYTHON in the export journey runs all of it.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { datasetFromFile } from '../../data/dataset';
import { scheduleShare } from '../../engine/optim/schedule';
import { letters } from '../../methods/testing/letters';
import { defaultRun, type RunConfig } from '../../store/contract';
import { newRun } from '../../store/slices/runs';
import { clusterProject } from './cluster';
import script from './cluster/continue.py?raw';

const work = mkdtempSync(join(tmpdir(), 'lowrank-cluster-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const run = (config: Partial<RunConfig> = {}) => newRun('r', { name: 'lora-verses', config: { ...defaultRun, ...config }, labels: { method: 'LoRA', model: 'tale-1m', data: 'verses' } });
const file = (name: string, text: string) => ({ name, bytes: new TextEncoder().encode(text) });
const adapter = [file('adapter_model.safetensors', 'A'), file('adapter_config.json', '{}')];
const textOf = (files: readonly { name: string; bytes: Uint8Array }[], name: string) => new TextDecoder().decode(files.find((one) => one.name === name)?.bytes);

describe('a project for a cluster', () => {
  it('holds the adapter, data, base, pinned requirements, and every setting of the run', () => {
    const { files, main, notes } = clusterProject({ run: run(), adapter, base: [file('config.json', '{}')], data: file('verses.txt', 'In the beginning'), validation: 3.25 });
    expect(files.map((one) => one.name)).toEqual(['README.md', 'continue.py', 'requirements.txt', 'run.json', 'adapter/adapter_model.safetensors', 'adapter/adapter_config.json', 'data/verses.txt', 'base/config.json']);
    expect(files.some((one) => one.name === main)).toBe(true);
    expect(notes).toEqual([]);
    expect(textOf(files, 'requirements.txt').trim().split('\n').every((line) => /^[a-z]+==\d+(\.\d+)+$/.test(line))).toBe(true);
    expect(JSON.parse(textOf(files, 'run.json'))).toMatchObject({ base: 'base', data_file: 'data/verses.txt', training: defaultRun.training, holdout: defaultRun.holdout, validation_loss: 3.25 });
    expect(textOf(files, 'README.md')).toContain('accelerate launch continue.py\n');
  });

  it('says what it cannot carry, and how to give it', () => {
    const { files, notes } = clusterProject({ run: run(), adapter, base: [], data: file('rows.csv', 'a,b'), validation: null });
    expect(notes.length).toBe(2);
    expect(textOf(files, 'README.md')).toContain('accelerate launch continue.py --base FOLDER_OR_ID --data FILE.jsonl');
    expect(JSON.parse(textOf(files, 'run.json'))).toMatchObject({ base: null, data_file: null });
    expect(textOf(files, 'run.json')).not.toContain('validation_loss');
  });
});

const hasPython = spawnSync('python3', ['--version']).status === 0;
/** Loads continue.py with empty stand-ins for its packages and prints what `body` sets as `result`. */
function python<T>(body: string): T {
  writeFileSync(join(work, 'continue.py'), script);
  const program = `
import importlib.util, json, sys, types
from unittest.mock import MagicMock
for name in ["torch", "torch.utils", "torch.utils.data", "accelerate", "accelerate.utils", "peft", "transformers"]:
    sys.modules[name] = MagicMock()
spec = importlib.util.spec_from_file_location("project", ${JSON.stringify(join(work, 'continue.py'))})
project = importlib.util.module_from_spec(spec)
spec.loader.exec_module(project)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
class Letters:
    bos_token_id = eos_token_id = None
    chat_template = None
    def encode(self, text, add_special_tokens=False):
        return [ALPHABET.find(c) for c in text]
from pathlib import Path
${body}
print(json.dumps(result))
`;
  return JSON.parse(execFileSync('python3', ['-c', program], { encoding: 'utf8' })) as T;
}

describe.skipIf(!hasPython)('its Python', () => {
  // A row's first token is never predicted: only the studio marks it as without loss.
  const held = async (name: string, content: string, seq: number): Promise<number[][]> => {
    const data = await datasetFromFile({ name, content }, letters(), { batch: 1, seq, context: 64, seed: 11, holdout: 0.2, validationBatches: 10_000 });
    return data.validation().map(({ input_ids, labels }) => [...input_ids.filter((_, i) => i > 0 && labels[i] !== -100)]);
  };
  const theirs = (name: string, content: string, seq: number) => {
    writeFileSync(join(work, name), content);
    return python<number[][]>(`train, rows = project.split(project.read_rows(Path(${JSON.stringify(join(work, name))})), Letters(), ${seq}, 0.2, 11)\nresult = [ids[max(start, 1):] for ids, start in rows]`);
  };

  it('holds out the same end of a text', async () => {
    const text = Array.from({ length: 500 }, (_, i) => String.fromCharCode(97 + (i * 7) % 26)).join('');
    const want = await held('a.txt', text, 8);
    expect(want.length).toBeGreaterThan(10);
    expect(theirs('a.txt', text, 8)).toEqual(want);
  });

  it('holds out the same rows, equal ones together, cut at the same place', async () => {
    const rows = Array.from({ length: 60 }, (_, i) => JSON.stringify({ text: `row${i % 50}${'x'.repeat(i % 9)}` })).join('\n');
    expect(theirs('b.jsonl', rows, 10)).toEqual(await held('b.jsonl', rows, 10));
    const pairs = Array.from({ length: 40 }, (_, i) => JSON.stringify({ prompt: `ask${i}`, completion: `say${i * i}` })).join('\n');
    expect(theirs('c.jsonl', pairs, 12)).toEqual(await held('c.jsonl', pairs, 12));
  });

  it('follows the same learning rate', () => {
    const got = python<number[]>('result = [project.share(kind, step, 20, warmup) for kind in ("constant", "linear", "cosine") for warmup in (0, 5) for step in range(1, 21)]');
    const want = (['constant', 'linear', 'cosine'] as const).flatMap((kind) => [0, 5].flatMap((warmup) => Array.from({ length: 20 }, (_, i) => scheduleShare(kind, i + 1, 20, warmup))));
    got.forEach((share, i) => expect(share).toBeCloseTo(want[i]!, 12));
  });
});
