// What the journeys over the recorded engine share: opening a fresh page, short runs, accessibility, and shots that are kept.
import AxeBuilder from '@axe-core/playwright';
import { expect, type Page } from '@playwright/test';

export async function open(page: Page, url: string): Promise<void> {
  page.on('pageerror', (error) => {
    throw error;
  });
  await page.goto(url);
  await expect(page.getByTestId('train-button')).toBeEnabled();
}

export const ended = (page: Page) => expect(page.getByTestId('run-status')).toHaveAttribute('data-status', /finished|stopped|failed/);

/** The Quick preset, at the length that a test needs. */
export async function quick(page: Page): Promise<void> {
  await page.getByTestId('preset-quick').click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
}

export async function setBox(page: Page, name: string, value: number): Promise<void> {
  await page.getByTestId(`box-${name}`).fill(String(value));
  await page.getByTestId(`box-${name}`).press('Enter');
}

export async function noViolations(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`)).toEqual([]);
}

/** A picture in out/shots/, to be looked at. */
export const shot = (page: Page, name: string) => page.screenshot({ path: `out/shots/${name}.png` });
