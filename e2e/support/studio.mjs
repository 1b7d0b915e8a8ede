// The studio as a person handles it: what the journeys and the demo share. Every wait is for a state, never for time.

/** Text of an element by its test id, '' where it is not there. */
export async function textOf(page, id) {
  const element = page.getByTestId(id).first();
  return (await element.count()) > 0 ? (await element.innerText()).trim() : '';
}

/** The first number in an element's text; NaN where there is none. Digit groups and a real minus sign are understood. */
export async function numberOf(page, id) {
  const text = (await textOf(page, id)).replace(/(?<=\d)[,\u202f\u00a0 ](?=\d{3}\b)/g, '').replace('−', '-');
  return Number.parseFloat(/-?\d+(\.\d+)?(e[+-]?\d+)?/i.exec(text)?.[0] ?? 'NaN');
}

/** What the model wrote without and with the adapter; a remark of the page under the text is left out. */
export async function samples(page) {
  const on = page.getByTestId('sample-on').locator('p').first();
  return { off: await textOf(page, 'sample-off'), on: (await on.innerText()).trim() };
}

/** Waits until the model, data and plan are there and the run can start; throws what the page says otherwise. */
export async function ready(page) {
  await settle(page, () => page.getByTestId('train-button').isEnabled(), 'the Train button to be ready');
}

export async function choose(page, { model, data, method, preset }) {
  if (model) await page.getByTestId(`model-${model}`).click();
  if (data) await page.getByTestId(`data-${data}`).click();
  if (method) await page.getByTestId(`method-${method}`).click();
  if (preset) await page.getByTestId(`preset-${preset}`).click();
}

export async function train(page) {
  await ready(page);
  await page.getByTestId('train-button').click();
}

/** Waits for a status of the run, such as /finished|stopped/; an error on the page ends the wait. */
export async function status(page, wanted, limitMs = 240_000) {
  const now = () => page.getByTestId('run-status').getAttribute('data-status');
  await settle(page, async () => wanted.test((await now()) ?? ''), `the run to be ${wanted.source}`, limitMs);
}

/** Waits until a condition holds, and fails at once with the page's own error when it shows one. */
export async function settle(page, holds, what, limitMs = 60_000) {
  const until = Date.now() + limitMs;
  for (;;) {
    if (await holds()) return;
    const trouble = await textOf(page, 'error-message');
    if (trouble) throw new Error(`the page shows an error while waiting for ${what}: ${trouble.replace(/\s*\n\s*/g, ' ')}`);
    if (Date.now() > until) throw new Error(`waited ${limitMs / 1000} s for ${what}`);
    await page.waitForTimeout(200);
  }
}

/** Writes and verifies the adapter, and downloads the zip: its bytes. */
export async function exportAdapter(page, limitMs = 60_000) {
  await page.getByTestId('tab-export').click();
  await page.getByTestId('export-button').click();
  await settle(page, () => page.getByTestId('download-button').isVisible(), 'the written adapter', limitMs);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('download-button').click()]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}
