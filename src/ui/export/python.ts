// How the exported folder is used outside: the few lines of Python that load it.
export function pythonOf(folder: string, model: string, prompt: string): string {
  return `from transformers import AutoModelForCausalLM, AutoTokenizer
from peft import PeftModel

base = AutoModelForCausalLM.from_pretrained("${model}")       # the folder of the base model
tokenizer = AutoTokenizer.from_pretrained("${model}")
model = PeftModel.from_pretrained(base, "${folder}")          # the exported folder

inputs = tokenizer(${JSON.stringify(prompt)}, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=40, do_sample=True, temperature=0.7)
print(tokenizer.decode(output[0], skip_special_tokens=True))

# model.merge_and_unload().save_pretrained("merged")          # one model without an adapter
`;
}
