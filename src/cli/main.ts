// The command line's composition root: picks a verb, and turns what goes wrong into one line and an exit code.
import { TASK_NAMES } from '../training/tasks';
import { NoDeviceError, StudioError } from '../util/errors';
import { closeNodeGpu } from './node-gpu';
import { UsageError } from './options';
import { bench } from './verbs/bench';
import { methods, models, plan } from './verbs/catalogue';
import { convert } from './verbs/convert';
import { data } from './verbs/data';
import { device } from './verbs/device';
import { evaluate } from './verbs/evaluate';
import { finetune } from './verbs/finetune';
import { grads } from './verbs/grads';
import { inspect } from './verbs/inspect';
import { merge } from './verbs/merge';
import { sample } from './verbs/sample';
import { scriptVerb } from './verbs/script';

const verbs: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = { finetune, data, eval: evaluate, grads, sample, merge, convert, inspect, methods, models, plan, bench, device, script: scriptVerb((args) => main(args).catch(explain)) };

const HELP = `lowrank: fine-tune small models with low-rank adapters on WebGPU

  lowrank finetune --model DIR --data FILE --method SLUG --steps N --batch B --seq T --lr X --seed S --out DIR
                   [--task ${TASK_NAMES.join('|')}]
                   [--set key=value]... [--targets REGEX] [--val FILE] [--eval-every N] [--save-every N] [--resume DIR]
                   [--scale X] [--symmetric]
                   [--columns role=column,...] [--pack] [--held-out SHARE] [--test SHARE] [--from ADAPTER]
                   [--schedule constant|linear|cosine] [--warmup N] [--weight-decay X] [--clip X] [--weights auto|f32|f16|int8|int4]
  lowrank data     --model DIR [--task TASK] --data FILE [--columns role=column,...] [--seq T] [--seed S] [--held-out SHARE] [--test SHARE] [--pack]
  lowrank eval     --model DIR [--task TASK] [--adapter DIR]... (--data FILE [--columns ...] [--batch B] [--seq T] [--held-out SHARE --test SHARE --part validation|test --seed S] | --tokens FILE.json [--logits OUT.safetensors]) [--scale X] [--symmetric] [--weights f32|f16|int8|int4]
  lowrank grads    --model DIR --adapter DIR --tokens FILE.json --out OUT.safetensors
  lowrank sample   --model DIR [--adapter DIR]... --prompt TEXT --max N [--temperature X] [--top-k N] [--top-p X] [--stop TEXT]... [--seed S] [--weights KIND]
  lowrank merge    --model DIR --adapter DIR --out DIR [--dtype f32|f16]
  lowrank convert  --adapter DIR --to peft|gguf|kohya --out PATH [--rank R | --energy SHARE] [--model DIR]
  lowrank inspect  PATH
  lowrank methods
  lowrank models
  lowrank plan     (the flags of finetune)
  lowrank bench    kernels|step|peers|growth|linalg [--shape tale-1m|tale-16m|lm-8m|smollm2-135m|gpt2] [--method SLUG|all] [--rank R]
                   [--set FIELD=VALUE] [--batch B] [--seq T] [--dtype f32|f16 | --weights f32|f16|int8|int4] [--runs N] [--filter TEXT] [--profile]
  lowrank script   FILE|-   (a JSON list of arguments a line: many commands, one device)
  lowrank device

DIR of a model may be a .gguf file or hub:OWNER/NAME[@REVISION]; of an adapter, hub:OWNER/NAME; FILE may be hub:OWNER/NAME[@REVISION][:PATH].
HF_TOKEN and HF_ENDPOINT are used where they are set. Data files: .txt .md .jsonl .json .csv .tsv .parquet.
Every verb takes --json (one object a line) and --adapter-backend auto|gpu|lavapipe|swiftshader.
Exit codes: 0 done, 2 usage, 3 bad input, 4 no usable GPU, 5 the loss became non-finite, 130 interrupted.
`;

async function main([verb, ...args]: readonly string[]): Promise<number> {
  if (verb === undefined || verb === 'help' || verb === '--help' || args.includes('--help')) {
    process.stdout.write(HELP);
    return verb === undefined ? 2 : 0;
  }
  const run = verbs[verb];
  if (!run) throw new UsageError(`there is no verb '${verb}'; the verbs are ${Object.keys(verbs).join(', ')}`);
  return run(args);
}

function explain(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`lowrank: ${error.message}\nlowrank --help lists the flags.\n`);
    return 2;
  }
  if (error instanceof StudioError) {
    const hint = error.hint && !error.message.includes(error.hint) ? `; ${error.hint}` : '';
    process.stderr.write(`lowrank: ${error.message}${hint}\n`);
    return error instanceof NoDeviceError ? 4 : 3;
  }
  process.stderr.write(`lowrank: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
}

// A reader that closes early, as `head` does, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
const code = await main(process.argv.slice(2)).catch(explain);
await closeNodeGpu();
process.exitCode = code;
