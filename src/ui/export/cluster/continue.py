"""Goes on training an adapter from Lowrank Studio with PyTorch, transformers, PEFT and Accelerate.

    accelerate launch continue.py                       # one GPU, or all of this machine's
    accelerate launch --num_processes 8 continue.py     # so many
    python continue.py --check                          # only measures the held-out loss, beside the studio's

Everything comes from run.json: data, the same held-out rows, optimiser, schedule, seed. The adapter's numbers go on from where they
are; the optimiser's moments and the schedule start afresh. Each process reads `batch` rows a step. --mixed_precision bf16 is a flag
of `accelerate launch`.
"""
import argparse
import json
import math
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
IGNORED = -100
SPLIT_STREAM = 0x64610001
VALIDATION_BATCHES = 8


def uniform(seed, stream, counter):
    """Philox-4x32-10 (Salmon et al. 2011), as the studio draws the rows that it holds out."""
    mask = 0xFFFFFFFF
    block = counter // 4
    x0, x1, x2, x3 = block & mask, (block >> 32) & mask, 0, 0
    k0, k1 = seed & mask, stream & mask
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = (p1 >> 32) ^ x1 ^ k0, p1 & mask, (p0 >> 32) ^ x3 ^ k1, p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return (x0, x1, x2, x3)[counter % 4] / 2**32


def shuffled(count, seed, stream):
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = int(uniform(seed, stream, i) * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order


def half_up(x):
    return math.floor(x + 0.5)


def read_rows(path):
    """One running text as [text], or the rows of a .jsonl as dictionaries."""
    text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    if path.suffix == ".txt":
        return text
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def with_ends(tokenizer, ids):
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return start + ids + end


def encode(tokenizer, row):
    """Ids, and where the loss begins."""
    plain = lambda text: tokenizer.encode(text, add_special_tokens=False)
    if "text" in row:
        return with_ends(tokenizer, plain(row["text"])), 0
    asked = [{"role": "user", "content": row["prompt"]}]
    if not tokenizer.chat_template:
        start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        start += plain(row["prompt"])
        end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        return start + plain(row["completion"]) + end, len(start)
    render = lambda turns, **more: tokenizer.apply_chat_template(turns, tokenize=False, **more)
    start = plain(render(asked, add_generation_prompt=True))
    ids = plain(render(asked + [{"role": "assistant", "content": row["completion"]}]))
    if ids[: len(start)] != start:
        ids = start + plain(row["completion"])
    eos = tokenizer.eos_token_id
    closing = max((i for i, token in enumerate(ids) if token == eos), default=-1)
    if closing >= len(start):
        ids = ids[: closing + 1]
    elif eos is not None:
        ids = ids + [eos]
    return ids, len(start)


def split(rows, tokenizer, seq, holdout, seed):
    """Training and held-out rows as (ids, where the loss begins)."""
    if isinstance(rows, str):
        ids = with_ends(tokenizer, tokenizer.encode(rows, add_special_tokens=False))
        whole = len(ids) // seq
        held = min(whole - 1, max(1, half_up(holdout * len(ids) / seq))) if holdout > 0 else 0
        border = len(ids) - held * seq
        windows = lambda part: [(part[i * seq : (i + 1) * seq], 0) for i in range(len(part) // seq)]
        return windows(ids[:border]), windows(ids[border:])
    groups = {}
    for i, row in enumerate(rows):
        key = json.dumps([row["text"]] if "text" in row else [row["prompt"], row["completion"]], ensure_ascii=False)
        groups.setdefault(key, []).append(i)
    groups = list(groups.values())
    held = set()
    if holdout > 0:
        wanted = max(1, half_up(holdout * len(rows)))
        for g in shuffled(len(groups), seed, SPLIT_STREAM):
            if len(held) + len(groups[g]) <= wanted:
                held.update(groups[g])
        if not held:
            held.update(min(groups, key=len))
    encoded = [(ids[:seq], start) for ids, start in (encode(tokenizer, row) for row in rows)]
    return [row for i, row in enumerate(encoded) if i not in held], [row for i, row in enumerate(encoded) if i in held]


def collate(rows, seq, pad):
    ids = torch.full((len(rows), seq), pad, dtype=torch.long)
    labels = torch.full((len(rows), seq), IGNORED, dtype=torch.long)
    mask = torch.zeros((len(rows), seq), dtype=torch.long)
    for b, (row, start) in enumerate(rows):
        ids[b, : len(row)] = torch.tensor(row)
        labels[b, start : len(row)] = ids[b, start : len(row)]
        mask[b, : len(row)] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


@torch.no_grad()
def held_out_loss(model, rows, batch, seq, pad, device):
    """Mean over the labelled tokens of the batches that the studio measures."""
    model.eval()
    chosen = min(len(rows), VALIDATION_BATCHES * batch)
    picked = [rows[i * len(rows) // chosen] for i in range(chosen)]
    total, tokens = 0.0, 0
    for at in range(0, chosen, batch):
        part = {k: v.to(device) for k, v in collate(picked[at : at + batch], seq, pad).items()}
        logits = model(input_ids=part["input_ids"], attention_mask=part["attention_mask"]).logits[:, :-1].float()
        target = part["labels"][:, 1:]
        total += torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1), ignore_index=IGNORED, reduction="sum").item()
        tokens += int((target != IGNORED).sum())
    model.train()
    return total / max(tokens, 1)


def share(schedule, step, steps, warmup):
    """The learning rate of a step (from 1) as a share of its peak."""
    if step <= warmup:
        return step / warmup
    if schedule == "constant":
        return 1.0
    done = (step - 1 - warmup) / max(1, steps - warmup)
    return 1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def main():
    config = json.loads((HERE / "run.json").read_text())
    t = config["training"]
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", default=str(HERE / config["base"]) if config["base"] else None, required=not config["base"], help="folder or Hugging Face id of the base model")
    p.add_argument("--data", default=str(HERE / config["data_file"]) if config["data_file"] else None, required=not config["data_file"], help=".txt or .jsonl")
    p.add_argument("--adapter", default=str(HERE / "adapter"))
    p.add_argument("--out", default="continued")
    p.add_argument("--steps", type=int, default=t["steps"])
    p.add_argument("--lr", type=float, default=t["lr"])
    p.add_argument("--check", action="store_true", help="measure the held-out loss and stop")
    a = p.parse_args()

    accelerator = Accelerator()
    set_seed(t["seed"], device_specific=True)
    say = lambda **event: accelerator.is_main_process and print(json.dumps(event), flush=True)

    tokenizer = AutoTokenizer.from_pretrained(a.base)
    base = AutoModelForCausalLM.from_pretrained(a.base, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, a.adapter, is_trainable=True)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
    train, held = split(read_rows(Path(a.data)), tokenizer, t["seq"], config["holdout"], t["seed"])
    trainable = [q for q in model.parameters() if q.requires_grad]
    say(event="start", train_rows=len(train), held_out_rows=len(held), trainable=sum(q.numel() for q in trainable), processes=accelerator.num_processes)

    optimizer = torch.optim.AdamW(trainable, lr=a.lr, betas=(t["beta1"], t["beta2"]), eps=t["eps"], weight_decay=t["weightDecay"])
    loader = DataLoader(train, batch_size=t["batch"], shuffle=True, drop_last=len(train) >= t["batch"], collate_fn=lambda rows: collate(rows, t["seq"], pad))
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    measure = lambda: held_out_loss(model, held, t["batch"], t["seq"], pad, accelerator.device) if held else None
    say(event="eval", step=0, loss=measure(), studio=config.get("validation_loss"))
    if a.check:
        return

    model.train()
    step = 0
    while step < a.steps:
        for batch in loader:
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = a.lr * share(t["schedule"], step, a.steps, min(t["warmup"], a.steps))
            loss = model(**batch).loss
            accelerator.backward(loss)
            if t["clip"] > 0:
                accelerator.clip_grad_norm_(trainable, t["clip"])
            optimizer.step()
            optimizer.zero_grad()
            if step % 10 == 0 or step == a.steps:
                say(event="step", step=step, loss=loss.item(), lr=optimizer.param_groups[0]["lr"])
            if t["evalEvery"] and step % t["evalEvery"] == 0 and step < a.steps:
                say(event="eval", step=step, loss=measure())
            if step == a.steps:
                break
    say(event="eval", step=step, loss=measure())
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        accelerator.unwrap_model(model).save_pretrained(a.out)
    say(event="done", out=a.out)


if __name__ == "__main__":
    main()
