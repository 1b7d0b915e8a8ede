"""More golden tensors for src/methods/*.test.ts, made with PyTorch + PEFT on a CPU in float32: VeRA and AdaLoRA on the random GPT-2.

    pip install torch==2.13.0 transformers==5.18.0 peft==0.21.0 safetensors
    python scripts/make_goldens.py          # writes e2e/fixtures/goldens/gpt2-tiny.{vera,adalora}.safetensors

Ten AdamW steps (rate 1e-2, decay 0.01) on one batch. init.NAME, logits, loss, grad.NAME at the start; losses [10] before each step,
final.NAME after the last. AdaLoRA: also lora_E of every layer after each step and its allocation, e.STEP.NAME.
"""
from pathlib import Path

import torch
from peft import AdaLoraConfig, VeraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

HERE = Path(__file__).resolve().parent.parent / 'e2e/fixtures/goldens'
TARGETS = ['c_attn', 'c_proj', 'c_fc']
STEPS = 10


def clean(name: str) -> str:
    return name.removeprefix('base_model.model.').replace('.default', '')


def seeded(shape, number: int, scale: float) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(9000 + number)) * scale


def train(kind: str, config, start) -> None:
    base = load_file(HERE / 'gpt2-tiny.safetensors')
    batch = {'input_ids': base['input_ids'], 'labels': base['labels']}
    torch.manual_seed(0)
    model = get_peft_model(GPT2LMHeadModel.from_pretrained(HERE / 'gpt2-tiny', dtype=torch.float32, attn_implementation='eager'), config).eval()
    trained = [(clean(name), p) for name, p in model.named_parameters() if p.requires_grad]
    start(trained)
    out = {f'init.{name}': p.detach().clone() for name, p in trained}
    for name, t in model.state_dict().items():
        if name.startswith('base_model.vera_'):
            out['init.' + name.replace('.default', '')] = t.clone()
    optimizer = torch.optim.AdamW([p for _, p in trained], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, foreach=False, fused=False)
    losses = []
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        result = model(**batch)
        result.loss.backward()
        losses.append(float(result.loss))
        if step == 1:
            out['logits'] = result.logits.detach().clone()
            for name, p in trained:
                out[f'grad.{name}'] = p.grad.detach().clone()
        optimizer.step()
        if kind == 'adalora':
            model.base_model.update_and_allocate(step)
            for name, p in trained:
                if name.endswith('lora_E'):
                    out[f'e.{step}.{name}'] = p.detach().clone()
    out |= {f'final.{name}': p.detach().clone() for name, p in trained}
    out['losses'] = torch.tensor(losses, dtype=torch.float32)
    save_file({name: t.contiguous() for name, t in out.items()}, HERE / f'gpt2-tiny.{kind}.safetensors', metadata={'format': 'pt'})
    print(kind, losses)


def vera_start(trained) -> None:
    for number, (name, p) in enumerate(sorted(trained)):
        p.data = seeded(p.shape, number, 0.3)


def adalora_start(trained) -> None:
    for number, (name, p) in enumerate(sorted(trained)):
        p.data = seeded(p.shape, number, 0.5 if name.endswith('lora_E') else 0.2)


train('vera', VeraConfig(r=8, target_modules=TARGETS, fan_in_fan_out=True, task_type='CAUSAL_LM'), vera_start)
train('adalora', AdaLoraConfig(init_r=4, target_r=2, tinit=2, tfinal=3, deltaT=1, total_step=STEPS, lora_alpha=8, target_modules=TARGETS, fan_in_fan_out=True, task_type='CAUSAL_LM'), adalora_start)
