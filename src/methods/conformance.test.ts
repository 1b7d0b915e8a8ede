// Every registered method, and the small methods that use the rest of the contract, through one list of promises (testing/conformance.ts)
// on decoders. A new method is covered as soon as it is registered; testing/cases.ts says how it is run.
import { conform } from './testing/cases';
import { GPT2, LLAMA } from './testing/tiny';

conform({ name: 'a tiny Llama', kind: 'decoder', config: LLAMA, changed: /(v|o|down)_proj/, faulty: true });
// Biases everywhere, and weights that the checkpoint stores as [in, out].
conform({ name: 'a tiny GPT-2', kind: 'decoder', config: GPT2, changed: /c_(attn|proj)\.weight/, only: /^(apply|merged)/ });
