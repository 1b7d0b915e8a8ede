"""Times the LoRA step of `lowrank bench step` in PyTorch + PEFT, and prints the same JSON lines.

usage: python3 bench/peft_step.py [--shape lm-8m] [--rank 16] [--batch 4] [--seq 256] [--runs 20]
                                  [--modes eager,compiled,bf16,bf16-compiled] [--tf32] [--cpu]

The same layouts with random weights, LoRA on all linear layers of the blocks, forward, loss, backward, gradient norm clipped at 1,
AdamW; each step waited for. A line has `engine` (library and version) and `mode` besides the fields of `lowrank bench step`, and no
`dispatches`. f32 is full f32 (no TF32) unless --tf32; bf16 keeps frozen weights in bf16 and adapters in f32, under autocast. A mode
that cannot run gives a line with `absent` and the reason. Wants torch, transformers and peft; exits 3 where one is missing.
"""
import argparse, json, statistics, sys, time, warnings

try:
    import peft, torch, transformers
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
except ImportError as missing:
    sys.exit(print(f"peft_step.py: {missing.name} is missing: pip install torch transformers peft", file=sys.stderr) or 3)

warnings.filterwarnings("ignore")


def llama(hidden, layers, heads, kv_heads, ffn, vocab):
    return LlamaForCausalLM, LlamaConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads, intermediate_size=ffn,
        vocab_size=vocab, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=True, use_cache=False)


# The layouts of src/models/shapes.ts.
SHAPES = {
    "tale-1m": lambda: llama(128, 6, 4, 2, 344, 4096),
    "tale-16m": lambda: llama(384, 10, 6, 2, 1024, 4096),
    "lm-8m": lambda: llama(256, 8, 8, 8, 688, 4096),
    "smollm2-135m": lambda: llama(576, 30, 9, 3, 1536, 49152),
    "gpt2": lambda: (GPT2LMHeadModel, GPT2Config(use_cache=False, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)),
}
MODES = ("eager", "compiled", "bf16", "bf16-compiled")


def step_times(a, mode, device):
    """Milliseconds of each timed step, of the first one, and the peak of GPU memory in bytes."""
    half, compiled = mode.startswith("bf16"), mode.endswith("compiled")
    torch.manual_seed(1)
    kind, config = SHAPES[a.shape]()
    model = kind(config).to(device=device, dtype=torch.bfloat16 if half else torch.float32)
    model = get_peft_model(model, LoraConfig(r=a.rank, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01)
    ids = (torch.arange(a.batch * a.seq, device=device) * 7919 % config.vocab_size).reshape(a.batch, a.seq)
    forward = torch.compile(model) if compiled else model
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    def timed():
        start = time.perf_counter()
        loss = step()
        wait()
        return 1000 * (time.perf_counter() - start), loss

    first, loss = timed()
    if not torch.isfinite(loss):
        raise ValueError(f"the loss is {loss.item()}")
    for _ in range(4):
        timed()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = [timed()[0] for _ in range(a.runs)]
    return times, first, torch.cuda.max_memory_allocated() if device == "cuda" else None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--shape", default="lm-8m", choices=SHAPES)
    p.add_argument("--rank", type=int, default=16)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--seq", type=int, default=256)
    p.add_argument("--runs", type=int, default=20)
    p.add_argument("--modes", default=",".join(MODES))
    p.add_argument("--tf32", action="store_true")
    p.add_argument("--cpu", action="store_true")
    a = p.parse_args()
    unknown = [mode for mode in a.modes.split(",") if mode not in MODES]
    if unknown:
        p.error(f"--modes: there is no {unknown[0]}; the modes are {', '.join(MODES)}")
    torch.backends.cuda.matmul.allow_tf32 = a.tf32
    torch.backends.cudnn.allow_tf32 = a.tf32
    device = "cuda" if torch.cuda.is_available() and not a.cpu else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(f"device: {name}", file=sys.stderr)
    for mode in a.modes.split(","):
        line = {
            "event": "step", "engine": f"torch {torch.__version__}, peft {peft.__version__}, transformers {transformers.__version__}", "mode": mode, "device": name,
            "shape": a.shape, "method": "lora", "rank": a.rank, "batch": a.batch, "seq": a.seq, "dtype": "bf16" if mode.startswith("bf16") else "tf32" if a.tf32 else "f32",
        }
        try:
            times, first, peak = step_times(a, mode, device)
        except Exception as error:  # whatever a mode cannot do is reported, and the next one has its turn
            print(json.dumps({**line, "absent": f"{type(error).__name__}: {error}".splitlines()[0]}), flush=True)
        else:
            ms = statistics.median(times)
            print(json.dumps({**line, "ms": ms, "ms_min": min(times), "first_ms": first, "tokens_per_s": round(1000 * a.batch * a.seq / ms), "peak_bytes": peak}), flush=True)
        torch._dynamo.reset()
        if device == "cuda":
            torch.cuda.empty_cache()


main()
