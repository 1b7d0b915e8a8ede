"""Golden tensors for the architectures that have no checkpoint in the repository: tiny random models, made, run and trained by transformers
and PEFT on a CPU in float32. For each ID it writes ID/config.json, ID/model.safetensors, ID.safetensors (batch, logits, loss, the gradient of
every weight) and ID.lora.safetensors (a LoRA of rank 4 on all linear layers of the blocks: start, gradients, ten AdamW steps, end), 50 to 300 kB
a model. src/training/golden.test.ts takes up every ID that is there. `node scripts/slim-goldens.mjs` behind it makes large files small.
usage: python scripts/make_model_goldens.py [ID ...]      needs torch, transformers, peft, safetensors"""
import json, os, sys, types
import peft, torch, transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (BertConfig, BertForSequenceClassification, BertForTokenClassification, BertModel, DistilBertConfig, DistilBertForMaskedLM, GPTNeoXConfig, GPTNeoXForCausalLM,
                          LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM, RobertaConfig, RobertaForMaskedLM, RobertaForSequenceClassification)

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e', 'fixtures', 'goldens')
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)

SIZES = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, initializer_range=.2)
LLAMA = dict(SIZES, num_key_value_heads=2, rms_norm_eps=1e-5, tie_word_embeddings=False, attention_dropout=0.)
BERT = dict(SIZES, hidden_dropout_prob=0., attention_probs_dropout_prob=0., layer_norm_eps=1e-5)
LLAMA3 = dict(rope_type='llama3', factor=8., low_freq_factor=1., high_freq_factor=4., original_max_position_embeddings=16)
CAUSAL = r'.*layers\.\d+\..*(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)'
ENCODER = r'.*encoder\.layer\.\d+\..*(query|key|value|dense)'


def scaled(theta, scaling):
    """rope_scaling in the words of this version: transformers 5 has theta and scaling in one entry."""
    if int(transformers.__version__.split('.')[0]) < 5:
        return dict(rope_theta=theta, **({'rope_scaling': scaling} if scaling else {}))
    return dict(rope_parameters=dict(rope_theta=theta, **(scaling or {'rope_type': 'default'})))


class Pairs(BertModel):
    """Which second text belongs to which first one, as MultipleNegativesRankingLoss of sentence-transformers has it: mean hidden states of
    length one, cosines times 20, cross-entropy of each first text over all second ones. The first texts stand before the second ones."""
    def __init__(self, config):
        super().__init__(config, add_pooling_layer=False)

    def forward(self, input_ids, attention_mask, labels, **_):
        hidden = super().forward(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        first, second = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1)).chunk(2)
        logits = 20. * first @ second.T
        return types.SimpleNamespace(loss=torch.nn.functional.cross_entropy(logits, labels), logits=logits)


MODELS = {
    'llama3-tiny': (LlamaForCausalLM, lambda: LlamaConfig(**LLAMA, **scaled(5e5, LLAMA3)), CAUSAL),
    'llama-linear-tiny': (LlamaForCausalLM, lambda: LlamaConfig(**LLAMA, **scaled(1e4, dict(rope_type='linear', factor=4.))), CAUSAL),
    'mistral-tiny': (MistralForCausalLM, lambda: MistralConfig(**LLAMA, head_dim=8, sliding_window=None), CAUSAL),
    'qwen2-tiny': (Qwen2ForCausalLM, lambda: Qwen2Config(**LLAMA, use_sliding_window=False), CAUSAL),
    'qwen3-tiny': (Qwen3ForCausalLM, lambda: Qwen3Config(**LLAMA, head_dim=16, use_sliding_window=False), CAUSAL),
    'pythia-tiny': (GPTNeoXForCausalLM, lambda: GPTNeoXConfig(**dict(SIZES, hidden_size=64), rotary_pct=.25, use_parallel_residual=True, attention_dropout=0., hidden_dropout=0.),
                    r'.*layers\.\d+\..*(query_key_value|dense|dense_h_to_4h|dense_4h_to_h)'),
    'neox-tiny': (GPTNeoXForCausalLM, lambda: GPTNeoXConfig(**dict(SIZES, hidden_size=64), rotary_pct=.5, use_parallel_residual=False, attention_dropout=0., hidden_dropout=0.),
                  r'.*layers\.\d+\..*(query_key_value|dense|dense_h_to_4h|dense_4h_to_h)'),
    'roberta-tiny': (RobertaForMaskedLM, lambda: RobertaConfig(**BERT, type_vocab_size=1, pad_token_id=1), ENCODER),
    'roberta-class-tiny': (RobertaForSequenceClassification, lambda: RobertaConfig(**BERT, type_vocab_size=1, pad_token_id=1, num_labels=3), ENCODER),
    'distilbert-tiny': (DistilBertForMaskedLM, lambda: DistilBertConfig(vocab_size=64, dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=64, initializer_range=.2, dropout=0., attention_dropout=0.),
                        r'.*transformer\.layer\.\d+\..*(q_lin|k_lin|v_lin|out_lin|lin1|lin2)'),
    'minilm-tiny': (BertForSequenceClassification, lambda: BertConfig(**BERT, num_labels=3), ENCODER),
    'bert-tags-tiny': (BertForTokenClassification, lambda: BertConfig(**BERT, num_labels=3), ENCODER),
    'bert-pairs-tiny': (Pairs, lambda: BertConfig(**BERT), ENCODER),
}


def build(name):
    """The model as its checkpoint gives it back, and a batch."""
    kind, config, _ = MODELS[name]
    folder = os.path.join(OUT, name)
    if not os.path.exists(os.path.join(folder, 'model.safetensors')):
        torch.manual_seed(0)
        made = kind(config())
        # Biases and norms that are 0 and 1 would hide a mistake about them.
        for k, p in made.named_parameters():
            if p.dim() == 1:
                p.data += torch.randn(p.shape) * .1
        made.save_pretrained(folder)
        if kind is Pairs:
            path = os.path.join(folder, 'config.json')
            json.dump(dict(json.load(open(path)), architectures=['BertModel']), open(path, 'w'), indent=2)
        for extra in os.listdir(folder):
            if extra not in ('config.json', 'model.safetensors'):
                os.remove(os.path.join(folder, extra))
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()
    g = torch.Generator().manual_seed(123)
    ids = torch.randint(3, 64, (8 if kind is Pairs else 2, 16), generator=g)
    batch = dict(input_ids=ids)
    if 'CausalLM' in kind.__name__:
        return model, dict(batch, labels=ids.clone())
    mask = torch.ones_like(ids)
    mask[1, 12:] = 0
    ids[1, 12:] = model.config.pad_token_id or 0
    if kind is Pairs:
        mask[6, 9:], ids[6, 9:] = 0, 0
        return model, dict(batch, attention_mask=mask, labels=torch.arange(4))
    if 'Sequence' in kind.__name__:
        return model, dict(batch, attention_mask=mask, labels=torch.tensor([2, 0]))
    labels = torch.full_like(ids, -100)
    if 'Token' in kind.__name__:
        for r, c, tag in ((0, 1, 2), (0, 4, 0), (0, 15, 1), (1, 3, 1), (1, 11, 0)):
            labels[r, c] = tag
        return model, dict(batch, attention_mask=mask, labels=labels)
    for r, c in ((0, 2), (0, 9), (1, 5)):
        labels[r, c], ids[r, c] = ids[r, c].item(), 2
    return model, dict(batch, attention_mask=mask, labels=labels)


def written(name, tensors):
    path = os.path.join(OUT, name + '.safetensors')
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, path, metadata={'format': 'pt'})
    print(f'{name}.safetensors  {os.path.getsize(path):,} bytes')


def base(name):
    model, batch = build(name)
    stored = set(load_file(os.path.join(OUT, name, 'model.safetensors')))
    strange = [k for k, _ in model.named_parameters() if k not in stored]
    if strange:
        sys.exit(f'{name}: parameters have other names than in the checkpoint: {strange[:3]}')
    result = model(**batch)
    result.loss.backward()
    written(name, {**batch, 'logits': result.logits, 'loss': result.loss.reshape(1), **{'grad.' + k: p.grad for k, p in model.named_parameters() if p.grad is not None}})


def lora(name):
    model, batch = build(name)
    torch.manual_seed(0)
    tuned = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=MODELS[name][2], lora_dropout=0., bias='none')).eval()
    trained = [(k.replace('.default.weight', '.weight'), p) for k, p in tuned.named_parameters() if p.requires_grad]
    for n, (_, p) in enumerate(sorted((k, p) for k, p in trained if 'lora_B' in k)):
        p.data = torch.randn(p.shape, generator=torch.Generator().manual_seed(7000 + n)) * .02
    out = {'init.' + k: p.detach().clone() for k, p in trained}
    result = tuned(**batch)
    result.loss.backward()
    masked = 'MaskedLM' in MODELS[name][0].__name__
    out.update(logits=result.logits[batch['labels'] != -100] if masked else result.logits, loss=result.loss.reshape(1), **{'grad.' + k: p.grad.clone() for k, p in trained})
    adamw = torch.optim.AdamW([p for _, p in trained], lr=1e-3, betas=(.9, .999), eps=1e-8, weight_decay=.01, foreach=False)
    losses = []
    for _ in range(10):
        adamw.zero_grad()
        loss = tuned(**batch).loss
        loss.backward()
        losses.append(loss.item())
        adamw.step()
    with torch.no_grad():
        losses.append(tuned(**batch).loss.item())
    written(name + '.lora', {**out, 'losses': torch.tensor(losses), **{'final.' + k: p for k, p in trained}})


for chosen in sys.argv[1:] or MODELS:
    if chosen not in MODELS:
        sys.exit(f'{chosen}: there is no such model; there are {", ".join(MODELS)}')
    base(chosen)
    lora(chosen)
print(json.dumps(dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)))
