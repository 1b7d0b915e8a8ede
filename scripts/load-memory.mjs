// How much memory a browser tab takes while it loads a model: `node scripts/load-memory.mjs`, after `npm run build`.
// A Llama of 530 MB in float32 is written as a sparse file, given to the page as a dropped folder would be, and the resident
// memory of the tab's process is watched from outside. The graphics process, which holds the weights, is another one.
import { copyFileSync, mkdtempSync, openSync, closeSync, ftruncateSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright';
import { launchOptions } from '../e2e/support/launch.mjs';
import { ensurePage, pageFolder } from './page.mjs';
import { main, root, say } from './process.mjs';
import { serve } from './server.mjs';

const [hidden, ffn, layers, vocab] = [1024, 2816, 9, 16384];

await main(async () => {
  await ensurePage();
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-load-'));
  const size = writeModel(folder);
  const site = await serve(pageFolder, 0);
  const server = await chromium.launchServer(await launchOptions());
  try {
    const browser = await chromium.connect(server.wsEndpoint());
    const page = await browser.newPage();
    await page.goto(site.url);
    await page.getByTestId('train-button').and(page.locator(':enabled')).waitFor({ timeout: 120_000 });
    const tabs = () => renderers(server.process().pid).map(({ resident }) => resident);
    const before = Math.max(...tabs());
    let most = before;
    const watch = setInterval(() => { most = Math.max(most, ...tabs()); }, 20);
    const from = performance.now();
    await page.getByText('Your folder', { exact: true }).click();
    await page.getByTestId('file-input-model').setInputFiles(folder);
    await page.getByText('132,', { exact: false }).first().waitFor({ timeout: 300_000 });
    clearInterval(watch);
    const grown = most - before;
    say(`model ${mb(size)}, loaded in ${((performance.now() - from) / 1000).toFixed(1)} s`);
    say(`tab before ${mb(before)}, peak ${mb(most)}: grown by ${mb(grown)}, ${(grown / size).toFixed(2)} of the model's size`);
    await browser.close();
  } finally {
    await server.close();
    await site.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

function mb(bytes) {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

/** The layout of the weights with nothing but zeros in them; returns its bytes. */
function writeModel(folder) {
  const shapes = { 'model.embed_tokens.weight': [vocab, hidden], 'model.norm.weight': [hidden] };
  for (let i = 0; i < layers; i++) {
    const at = `model.layers.${i}`;
    for (const part of ['q', 'k', 'v', 'o']) shapes[`${at}.self_attn.${part}_proj.weight`] = [hidden, hidden];
    Object.assign(shapes, { [`${at}.mlp.gate_proj.weight`]: [ffn, hidden], [`${at}.mlp.up_proj.weight`]: [ffn, hidden], [`${at}.mlp.down_proj.weight`]: [hidden, ffn], [`${at}.input_layernorm.weight`]: [hidden], [`${at}.post_attention_layernorm.weight`]: [hidden] });
  }
  let offset = 0;
  const header = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => {
    const begin = offset;
    offset += 4 * shape.reduce((a, b) => a * b, 1);
    return [name, { dtype: 'F32', shape, data_offsets: [begin, offset] }];
  }));
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  writeSync(file, Buffer.concat([length, text]));
  ftruncateSync(file, 8 + text.length + offset);
  closeSync(file);
  const config = { architectures: ['LlamaForCausalLM'], hidden_act: 'silu', hidden_size: hidden, intermediate_size: ffn, num_hidden_layers: layers, num_attention_heads: 16, vocab_size: vocab, max_position_embeddings: 512, rms_norm_eps: 1e-5, tie_word_embeddings: true };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) copyFileSync(join(root, 'public', 'models', 'tale-1m', name), join(folder, name));
  return offset;
}

/** Chromium's tab processes below a process, with their resident bytes. Linux only. */
function renderers(ancestor) {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
      return [{ pid: Number(pid), parent: field('PPid'), resident: 1024 * field('VmRSS'), command: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }];
    } catch {
      return [];
    }
  });
  const parents = new Map(all.map(({ pid, parent }) => [pid, parent]));
  const below = (pid) => {
    for (let at = pid; at; at = parents.get(at)) if (at === ancestor) return true;
    return false;
  };
  return all.filter(({ pid, command }) => command.includes('--type=renderer') && below(pid));
}
