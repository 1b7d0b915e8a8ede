"""Compares an adapter that the studio wrote with what PyTorch + PEFT make of the same file.

usage: python3 scripts/compare_peft.py --model DIR --adapter DIR [--cli "node dist/cli.mjs"] [--tokens FILE.json]

Loads MODEL and ADAPTER with transformers and PEFT in float32, runs the same tokens through the command line, and prints the
largest differences of logits, loss and every adapter gradient, each as a share of the largest wanted value. Exits 1 when one is
above 1e-4, when a gradient is missing, or when the adapter does not change the logits at all. Optional: wants torch, transformers,
peft and safetensors.
"""
import argparse, json, shlex, subprocess, sys, tempfile, warnings
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
BOUND = 1e-4


def run(cli, *args):
    done = subprocess.run([*shlex.split(cli), *map(str, args), "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def share(got, want):
    return float((got - want).abs().max() / want.abs().max())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    p.add_argument("--adapter", required=True)
    p.add_argument("--cli", default="node dist/cli.mjs")
    p.add_argument("--tokens")
    a = p.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    base = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32, attn_implementation="eager").eval()
    work = Path(tempfile.mkdtemp())
    tokens = a.tokens or str(work / "tokens.json")
    if not a.tokens:
        g = torch.Generator().manual_seed(0)
        ids = torch.randint(8, base.config.vocab_size, (2, 24), generator=g).tolist()
        Path(tokens).write_text(json.dumps({"input_ids": ids}))
    batch = json.loads(Path(tokens).read_text())
    ids = torch.tensor(batch["input_ids"])
    labels = torch.tensor(batch.get("labels", batch["input_ids"]))
    with torch.no_grad():
        plain = base(ids).logits
    model = PeftModel.from_pretrained(base, a.adapter, is_trainable=True).eval()
    out = model(input_ids=ids, labels=labels)
    out.loss.backward()

    said = run(a.cli, "eval", "--model", a.model, "--adapter", a.adapter, "--tokens", tokens, "--logits", work / "logits.safetensors")
    run(a.cli, "grads", "--model", a.model, "--adapter", a.adapter, "--tokens", tokens, "--out", work / "grads.safetensors")
    logits = load_file(work / "logits.safetensors")["logits"]
    grads = load_file(work / "grads.safetensors")
    want = {f"grad.{k.replace('.default', '')}": v.grad for k, v in model.named_parameters() if v.requires_grad}
    missing = sorted(set(want) - set(grads))
    worst = max((share(grads[k], v), k) for k, v in want.items() if k in grads and v.abs().max() > 0)
    report = {
        "effect of the adapter in PEFT": float((out.logits - plain).abs().max()),
        "logits": share(logits, out.logits.detach()),
        "loss": abs(said["loss"] - float(out.loss)) / float(out.loss),
        "worst gradient": worst[0],
        "its name": worst[1],
        "gradients compared": len(want) - len(missing),
        "gradients missing": missing,
    }
    print(json.dumps(report, indent=1))
    good = report["effect of the adapter in PEFT"] > 1e-3 and not missing and max(report["logits"], report["loss"], report["worst gradient"]) < BOUND
    print("agrees" if good else "DIFFERS")
    sys.exit(0 if good else 1)


main()
