// The catalogue of built-in models: each card tells the truth about its folder, and a model that the page cannot train is refused in words.
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
    // The page has data for models of text, and all that is to be said about causal ones is their summary.
    expect(card.closed === true).toBe(loaded.info.image !== undefined);
    expect(card.limits === undefined).toBe(loaded.task.kind === 'causal-lm');
  });
});

test('what the page cannot do is said before anything is fetched', async () => {
  const catalogue = { models, data: [] };
  await expect(fetchModel(catalogue, 'patch-4m', () => {})).rejects.toMatchObject({ message: 'Patch 4M: it is not loaded here', hint: expect.stringMatching(/^The page reads no pictures yet/) });
  await expect(fetchModel(catalogue, 'nothing', () => {})).rejects.toThrow("there is no built-in model 'nothing'");
});
