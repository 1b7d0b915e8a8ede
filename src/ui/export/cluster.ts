// "Continue on a cluster": a Python project that goes on training the adapter with PyTorch, on one or many GPUs.
import type { ExportFile } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { setting } from '../format';
import script from './cluster/continue.py?raw';

/** Versions that the files of this studio were tried with. */
const REQUIREMENTS = ['torch==2.13.0', 'transformers==5.18.0', 'peft==0.21.0', 'accelerate==1.15.0', 'safetensors==0.8.0'];

export interface ClusterInput {
  run: RunRecord;
  /** Files of the PEFT folder. */
  adapter: readonly ExportFile[];
  /** Files of the base model; none where the user has them. */
  base: readonly ExportFile[];
  data: ExportFile | null;
  /** Newest held-out loss of the run. */
  validation: number | null;
}

export function clusterProject({ run, adapter, base, data, validation }: ClusterInput): { files: ExportFile[]; main: string; notes: string[] } {
  const readable = data && /\.(txt|jsonl)$/i.test(data.name) ? data : null;
  const { training, holdout } = run.config;
  const config = {
    name: run.name, studio: run.config, base: base.length > 0 ? 'base' : null, data_file: readable ? `data/${readable.name}` : null,
    holdout, training, step: run.step, ...(validation === null ? {} : { validation_loss: validation }),
  };
  const text = (name: string, content: string): ExportFile => ({ name, bytes: new TextEncoder().encode(content) });
  const notes = [
    ...(base.length > 0 ? [] : ['The base model is yours and not in the folder: give its folder or Hugging Face id with --base.']),
    ...(readable ? [] : ['The data are not in the folder: give a .txt or .jsonl with --data.']),
  ];
  return {
    files: [
      text('README.md', readme(run, config)), text('continue.py', script), text('requirements.txt', `${REQUIREMENTS.join('\n')}\n`), text('run.json', `${JSON.stringify(config, null, 2)}\n`),
      ...adapter.map((file) => ({ ...file, name: `adapter/${file.name}` })),
      ...(readable ? [{ ...readable, name: `data/${readable.name}` }] : []),
      ...base.map((file) => ({ ...file, name: `base/${file.name}` })),
    ],
    main: 'adapter/adapter_model.safetensors',
    notes,
  };
}

function readme(run: RunRecord, { base, data_file, validation_loss }: { base: string | null; data_file: string | null; validation_loss?: number }): string {
  const { training } = run.config;
  const given = [base ? '' : ' --base FOLDER_OR_ID', data_file ? '' : ' --data FILE.jsonl'].join('');
  return `# ${run.name}

Goes on training the adapter of a Lowrank Studio run (${run.labels.method} on ${run.labels.model}, ${run.step} steps) with PyTorch.

\`\`\`sh
python -m venv .venv && . .venv/bin/activate && pip install -r requirements.txt
accelerate launch continue.py${given}
\`\`\`

- One GPU or all of this machine's; \`accelerate launch --num_processes N\` says how many, \`accelerate config\` sets up several machines.
  Each process reads ${training.batch} rows of ${training.seq} tokens a step, so that N processes read N times as many.
- \`python continue.py --check${given}\` measures the held-out loss and stops.${validation_loss === undefined ? '' : ` The studio measured ${validation_loss.toFixed(4)}.`}
- \`run.json\` holds every setting: learning rate ${setting(training.lr)}, ${training.schedule}, warm-up ${training.warmup}, weight decay ${setting(training.weightDecay)}, clip ${setting(training.clip)}, seed ${training.seed}.
- The adapter's numbers go on from where they are. The optimiser's moments and the schedule start afresh, and from here on it is plain
  LoRA: a method's own rules (gates, regularisers) ended with the export.
- The result is written to \`continued/\`: a PEFT folder again.
`;
}
