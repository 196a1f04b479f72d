// What of an accessible page can be found by a machine: names, roles, contrast, by axe-core.

import assert from 'node:assert/strict';
import axe from 'axe-core';

/** Throws what is wrong with the page as it stands. */
export async function accessible({ page }) {
  // By way of the debugger: the page's own policy would not let it in.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const told = violations.flatMap(({ id, help, nodes }) => nodes.slice(0, 3).map(({ target, failureSummary: why }) => `${id}: ${help}: ${target}: ${why}`));
  assert.deepEqual(told, []);
}
