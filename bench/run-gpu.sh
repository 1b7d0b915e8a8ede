#!/bin/sh
# Runs every bench on a real GPU and leaves one file of JSON lines each, and one of stderr, in the folder given.
# One that fails does not stop the next.
out=${1:?usage: sh bench/run-gpu.sh FOLDER}
mkdir -p "$out"
cli="node $(dirname "$0")/../dist/cli.mjs"

bench() {
  name=$1
  shift
  echo "$name: $*" >&2
  "$@" >"$out/$name.jsonl" 2>"$out/$name.err" || echo "$name: ended with code $?, see $out/$name.err" >&2
}

bench device $cli device --adapter-backend gpu --json
bench kernels $cli bench kernels --adapter-backend gpu --json
for shape in tale-1m lm-8m smollm2-135m; do
  bench "step-$shape" $cli bench step --adapter-backend gpu --shape $shape --batch 4 --seq 256 --profile --json
done
bench step-smollm2-135m-b8-t512 $cli bench step --adapter-backend gpu --shape smollm2-135m --batch 8 --seq 512 --json
bench peers $cli bench peers --adapter-backend gpu --batch 4 --seq 64 --json
bench peers-t256 $cli bench peers --adapter-backend gpu --batch 4 --seq 256 --filter lora --json
bench growth $cli bench growth --adapter-backend gpu --shape smollm2-135m --batch 4 --seq 256 --json
bench growth-tale-1m $cli bench growth --adapter-backend gpu --shape tale-1m --batch 4 --seq 64 --json
if python3 -c 'import torch, transformers, peft' 2>/dev/null; then
  bench peft-lm-8m python3 "$(dirname "$0")/peft_step.py" --shape lm-8m
  bench peft-smollm2-135m python3 "$(dirname "$0")/peft_step.py" --shape smollm2-135m
  bench peft-smollm2-135m-b8-t512 python3 "$(dirname "$0")/peft_step.py" --shape smollm2-135m --batch 8 --seq 512 --modes eager,bf16
else
  echo 'peft: torch, transformers or peft is missing: not timed' >&2
fi
