// One who looks at a dashboard in Chromium, and notes what must never happen there: errors, and requests to others.

import assert from 'node:assert/strict';

const PATIENCE = 20_000;
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

export class Viewer {
  /** @type {string[]} */
  faults = [];
  /** What the browser may complain about in this check. */
  expected = [];

  /**
   * @param {import('playwright-core').Browser} browser
   * @param {string} url
   * @param {import('playwright-core').BrowserContextOptions} [options]
   */
  static async open(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, locale: 'en-GB', ...options });
    context.setDefaultTimeout(PATIENCE);
    const viewer = new Viewer(await context.newPage(), new URL(url).origin);
    await viewer.page.goto(url);
    return viewer;
  }

  constructor(page, origin) {
    this.page = page;
    page.on('pageerror', (error) => this.faults.push(`${error}`));
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return;
      if (!this.expected.some((pattern) => pattern.test(message.text()))) this.faults.push(message.text());
    });
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== origin) this.faults.push(`a request to ${request.url()}`);
    });
    page.on('dialog', (dialog) => {
      this.faults.push(`a script said ${dialog.message()}`);
      dialog.dismiss();
    });
  }

  /** Waits for an element with this text. */
  sees(selector, text) {
    return this.page.locator(selector, { hasText: text }).first().waitFor();
  }

  /** Waits until the element is gone, or hidden. */
  misses(selector) {
    return this.page.locator(selector).first().waitFor({ state: 'hidden' });
  }

  row(backend) {
    return this.page.locator(`tr[data-backend="${backend}"]`);
  }

  /** Opens the dialog of an order. */
  orders(backend, order) {
    return this.row(backend).locator(`[data-order=${order}]`).click();
  }

  /** Presses the dialog's button that does it. */
  confirms() {
    return this.page.click('dialog [type=submit]');
  }

  async fits() {
    const [wide, window] = await this.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= window, `nothing to scroll sideways (${wide} in ${window})`);
  }

  async shot(name, options = {}) {
    if (process.env.SCREENSHOTS) await this.page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png`, ...options });
  }

  async close() {
    await this.page.context().close();
    assert.deepEqual(this.faults, []);
  }
}
