// The built-in models beside the story tellers: an encoder learns hidden words on the page, its weights kept as int8. Those of pictures have a journey of their own.
import { expect, test } from '@playwright/test';
import { numberOf, ready, status, train } from './support/studio.mjs';

test('Gloss 1M fills in hidden words, over weights kept as int8', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  await expect(page.getByTestId('model-gloss-1m')).toContainText('Classes are for the command line');
  await page.getByTestId('model-gloss-1m').click();
  await expect(page.getByText('BertForMaskedLM').first()).toBeVisible();
  await ready(page);
  const wide = await numberOf(page, 'plan-bytes');
  await page.getByTestId('weights').click();
  await page.getByRole('option', { name: 'int8' }).click();
  await expect(page).toHaveURL(/w=int8/);
  await expect.poll(() => numberOf(page, 'plan-bytes')).toBeLessThan(wide);
  await ready(page);
  const box = page.getByTestId('box-steps');
  await box.fill('3');
  await box.press('Enter');
  await ready(page);
  await train(page);
  await status(page, /finished/);
  const loss = await numberOf(page, 'val-loss-value');
  expect(loss).toBeGreaterThan(1);
  expect(loss).toBeLessThan(Math.log(8192));
});
