// Makes golden tensors small enough to be kept: the step behind every script that writes some (make_model_goldens.py, make_goldens.py).
// In files above 300 kB what is only compared (logits, gradients, ends, exports) and has more than 256 numbers becomes sums with random signs,
// sketch.NAME [sums] of e2e/support/sketch.mjs; what no test reads is left out. Slimmed files stay as they are.
// usage: node scripts/slim-goldens.mjs [FOLDER]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sketch } from '../e2e/support/sketch.mjs';
import { root } from './process.mjs';

const LARGE_FILE = 300_000;
const LARGE_TENSOR = 256;
const COMPARED = /^(logits$|grad|final\.|export\.)/;
const UNREAD = /^(residual\.|final_logits_row0$|hidden\.(?!block3$))/;

/** The value of a half. */
function half(bits) {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function read(path) {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__, ...entries } = JSON.parse(bytes.subarray(8, start).toString());
  const tensors = Object.entries(entries).map(([name, { dtype, shape, data_offsets: [begin, end] }]) => ({ name, dtype, shape, data: bytes.subarray(start + begin, start + end) }));
  return { size: bytes.length, metadata: __metadata__, tensors };
}

function write(path, metadata, tensors) {
  let end = 0;
  const header = { __metadata__: metadata };
  for (const { name, dtype, shape, data } of tensors) header[name] = { dtype, shape, data_offsets: [end, (end += data.length)] };
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileSync(path, Buffer.concat([length, padded, ...tensors.map(({ data }) => data)]));
}

/** An end is whole where the file has what PEFT exported from it. */
const compared = (name, all) => COMPARED.test(name) && !all.some((t) => t.name === name.replace(/^final/, 'export') && t.name !== name);

function slimmed({ name, dtype, shape, data }, _, all) {
  if (!compared(name, all) || shape.reduce((a, b) => a * b, 1) <= LARGE_TENSOR) return { name, dtype, shape, data };
  const copy = Uint8Array.from(data).buffer;
  const sums = sketch(dtype === 'F16' ? Array.from(new Uint16Array(copy), half) : new Float32Array(copy));
  return { name: `sketch.${name}`, dtype: 'F32', shape: [sums.length], data: Buffer.from(sums.buffer) };
}

const folder = process.argv[2] ?? join(root, 'e2e/fixtures/goldens');
for (const name of readdirSync(folder).filter((file) => file.endsWith('.safetensors'))) {
  const path = join(folder, name);
  const { size, metadata, tensors } = read(path);
  if (size <= LARGE_FILE || tensors.some((t) => t.name.startsWith('sketch.'))) continue;
  // Wide numbers first, so that each stands at a multiple of its size.
  const bytesOf = ({ dtype }) => Number(/\d+$/.exec(dtype)[0]);
  write(path, metadata, tensors.filter((t) => !UNREAD.test(t.name)).map(slimmed).sort((a, b) => bytesOf(b) - bytesOf(a)));
  console.log(`${name}: ${size} bytes, now ${readFileSync(path).length}`);
}
