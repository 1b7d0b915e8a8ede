// How the exported files are used outside: the few lines that load them. Null where the files say it themselves.
import type { Choice } from './export-choice';

export function pythonFor(format: Choice, folder: string, model: string, prompt: string): string | null {
  const text = JSON.stringify(prompt);
  switch (format) {
    case 'peft':
      return `from transformers import AutoModelForCausalLM, AutoTokenizer
from peft import PeftModel

base = AutoModelForCausalLM.from_pretrained("${model}")       # the folder of the base model
tokenizer = AutoTokenizer.from_pretrained("${model}")
model = PeftModel.from_pretrained(base, "${folder}")          # the exported folder

inputs = tokenizer(${text}, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=40, do_sample=True, temperature=0.7)
print(tokenizer.decode(output[0], skip_special_tokens=True))

# model.merge_and_unload().save_pretrained("merged")          # one model without an adapter
`;
    case 'merged':
      return `from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("${folder}")     # the exported folder
tokenizer = AutoTokenizer.from_pretrained("${folder}")

inputs = tokenizer(${text}, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=40, do_sample=True, temperature=0.7)
print(tokenizer.decode(output[0], skip_special_tokens=True))
`;
    case 'gguf':
      return `# The base model as GGUF, once; then the adapter beside it.
python convert_hf_to_gguf.py ${model} --outtype f16 --outfile base.gguf
llama-cli -m base.gguf --lora ${folder}-adapter.gguf -p ${text}
# --lora-scaled FILE SCALE sets the strength; llama-export-lora merges it.
`;
    case 'kohya':
    case 'report':
    case 'cluster':
      return null;
  }
}
