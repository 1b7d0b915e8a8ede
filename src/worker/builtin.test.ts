// The catalogue of built-in models: each card tells the truth about its folder.
import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { folderSources } from '../cli/files';
import { openHfFolder } from '../formats/hf-folder';
import { describeModel } from '../training/loaded';
import { type ShippedModel, fetchModel } from './builtin';

const folder = (path = '') => fileURLToPath(new URL(`../../public/models/${path}`, import.meta.url));
const read = (path: string) => JSON.parse(readFileSync(folder(path), 'utf8'));
const models = read('index.json') as ShippedModel[];

describe.each(models.map((card) => [card.id, card] as const))('%s', (id, card) => {
  test('its card stands in its folder, with the files that a load reads', () => {
    expect(read(`${id}/card.json`)).toEqual(card);
    for (const name of card.files) expect(statSync(folder(`${id}/${name}`)).size, name).toBeGreaterThan(0);
    expect(statSync(folder(`${id}/model.safetensors`)).size).toBe(card.bytes);
    expect(readFileSync(folder(`${id}/README.md`), 'utf8')).toContain(card.parameters.toLocaleString('en'));
  });

  test('it loads by its config, and has the parameters that the card says', async () => {
    const loaded = describeModel(id, await openHfFolder(await folderSources(folder(id))));
    expect(loaded.network.parameters).toBe(card.parameters);
    expect(loaded.model.kind).toBe(card.kind);
  });
});

test('a model that is not there is refused by name', async () => {
  await expect(fetchModel({ models, data: [] }, 'nothing', () => {})).rejects.toThrow("there is no built-in model 'nothing'");
});
