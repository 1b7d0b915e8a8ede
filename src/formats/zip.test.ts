import { unzipSync } from 'fflate';
import { expect, it } from 'vitest';
import { zipFiles } from './zip';

it('packs files so that they come out again, the same bytes each time', () => {
  const files = [{ name: 'adapter_config.json', bytes: Uint8Array.of(1, 2, 3) }, { name: 'adapter_model.safetensors', bytes: new Uint8Array(100_000).fill(7) }];
  const zip = zipFiles(files);
  expect(Object.entries(unzipSync(zip))).toEqual(files.map(({ name, bytes }) => [name, bytes]));
  expect(zipFiles(files)).toEqual(zip);
});
