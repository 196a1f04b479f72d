// Drives the demo's page in headless Chromium, as two players, a spectator and a phone would.
//
//   HOMING_BIN=target/release/homing node check.mjs      (or the binary as the first argument)
//
// Environment: CHROMIUM (default /usr/bin/chromium), SCREENSHOTS (a directory; default: none are kept).
// Exits with 1 at the first thing that is not as it should be.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const BINARY = process.argv[2] ?? process.env.HOMING_BIN ?? '../../target/release/homing';
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SHOTS = process.env.SCREENSHOTS;
const PATIENCE = 30_000;
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

// What a browser reports by itself while a backend is gone or a login was lost. Anything else is a fault of the page.
const EXPECTED = [/WebSocket connection to .* failed/, /Failed to load resource: .*\b(401|502|503)\b/];

const faults = [];
let disturbed = false;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts `homing demo` and waits until it says where it is. */
async function startDemo() {
  const url = `http://127.0.0.1:${await freePort()}/`;
  const child = spawn(BINARY, ['demo', '--listen', new URL(url).host], { stdio: ['ignore', 'pipe', 'pipe'] });
  createInterface({ input: child.stderr }).on('line', (line) => {
    console.error(`        ${line}`);
    if (line.includes('panicked at')) faults.push(`homing: ${line}`);
  });
  const said = [];
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      said.push(line);
      if (line.includes('Ctrl-C')) resolve();
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`homing demo ended with ${code}`)));
  });
  await ready;
  const text = said.join('\n');
  assert.ok(text.includes(url), `the welcome names ${url}`);
  assert.ok(!text.includes('\u001b'), 'no colours where there is no terminal');
  return { child, url };
}

async function stopDemo(child) {
  const ended = once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE) });
  child.kill('SIGINT');
  const [code, signal] = await ended;
  assert.deepEqual([code, signal], [0, null], 'SIGINT ends the demo well');
}

class Visitor {
  static async arrive(browser, name, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    page.on('pageerror', (error) => faults.push(`${name}: ${error}`));
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      if (disturbed && EXPECTED.some((pattern) => pattern.test(message.text()))) return;
      faults.push(`${name}: ${message.text()} (${message.location().url})`);
    });
    const visitor = new Visitor(name, page);
    await page.goto(url);
    await visitor.connected();
    return visitor;
  }

  constructor(name, page) {
    this.name = name;
    this.page = page;
  }

  connected() {
    return this.page.waitForSelector('.link.open');
  }

  text(selector) {
    return this.page.textContent(selector);
  }

  sees(selector, text) {
    return this.page.locator(selector, { hasText: text }).first().waitFor();
  }

  /** The backend that serves this visitor's game. */
  async home() {
    await this.connected();
    return this.text('#served .badge');
  }

  waitsForHome(wanted) {
    const there = ({ wanted: name }) => {
      const here = document.querySelector('#served .badge')?.textContent;
      return document.querySelector('.link.open') && (name ? here === name : Boolean(here));
    };
    return this.page.waitForFunction(there, { wanted });
  }

  hasMoves(count) {
    return this.page.waitForFunction((n) => document.querySelectorAll('#moves li span').length === n, count);
  }

  square(name) {
    return this.page.locator(`[data-square=${name}]`);
  }

  async clicks(from, to) {
    // The piece lies over its square and lets the click through; Playwright would wait for it to go away.
    await this.square(from).click({ force: true });
    await this.page.waitForSelector(`.target[data-square=${to}]`);
    await this.square(to).click({ force: true });
  }

  async types(from, to) {
    await this.square(from).press('Enter');
    await this.square(to).press('Enter');
  }

  async drags(from, to) {
    const [start, end] = [await this.square(from).boundingBox(), await this.square(to).boundingBox()];
    const { mouse } = this.page;
    await mouse.move(start.x + start.width / 2, start.y + start.height / 2);
    await mouse.down();
    await mouse.move(end.x + end.width / 2, end.y + end.height / 2, { steps: 6 });
    await mouse.up();
  }

  /** Presses a button of a backend's card. */
  orders(backend, button) {
    return this.page.locator(`[data-backend=${backend}] .acts button`, { hasText: button }).click();
  }

  async says(text) {
    await this.page.fill('#text', text);
    await this.page.click('#say button');
  }

  async shot(name, options = {}) {
    if (SHOTS) await this.page.screenshot({ path: `${SHOTS}/${name}.png`, ...options });
  }

  async fits() {
    const [wide, window] = await this.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= window, `${this.name}: nothing to scroll sideways (${wide} in ${window})`);
  }
}

async function step(title, run) {
  const before = Date.now();
  await run();
  assert.deepEqual(faults, [], `no errors in the page or the proxy: ${title}`);
  console.log(`ok  ${title} (${Date.now() - before} ms)`);
}

async function everywhere(visitors, run) {
  await Promise.all(visitors.map(run));
}

async function check(browser, base) {
  const url = `${base}?room=berlin`;
  const white = await Visitor.arrive(browser, 'white', url);
  await white.sees('#seat-near', 'White');
  const black = await Visitor.arrive(browser, 'black', url, { colorScheme: 'dark' });
  await black.sees('#seat-near', 'Black');
  const both = [white, black];

  await step('two windows play one game, by click, keyboard and drag', async () => {
    const ways = [['clicks', 'e2', 'e4'], ['types', 'e7', 'e5'], ['drags', 'g1', 'f3'], ['clicks', 'b8', 'c6'],
      ['drags', 'f1', 'b5'], ['clicks', 'a7', 'a6']];
    for (const [n, [way, from, to]] of ways.entries()) {
      await both[n % 2][way](from, to);
      await everywhere(both, (visitor) => visitor.hasMoves(n + 1));
    }
    await white.sees('#moves', 'Bb5');
    assert.equal(await white.home(), await black.home());
  });

  await step('a refresh in the middle of the game gives board and seat back', async () => {
    const home = await black.home();
    await black.page.reload();
    await black.hasMoves(6);
    await black.sees('#seat-near', 'Black');
    assert.equal(await black.home(), home);
    await white.clicks('b5', 'a4');
    await everywhere(both, (visitor) => visitor.hasMoves(7));
  });

  await step('the page says why', async () => {
    const home = await white.home();
    await white.sees('#why-text', home);
    await white.sees('#why-facts', 'path:/game/{room}');
    await white.sees(`[data-backend=${home}] .chip.mine`, 'berlin');
  });

  await step('both talk', async () => {
    await white.says('Nice opening.');
    await black.sees('#messages', 'Nice opening.');
    await black.says('From memory: one backend’s memory.');
    await white.sees('#messages', 'From memory');
    assert.equal(await white.text('#chat-where .badge'), await white.home());
  });

  const guest = await Visitor.arrive(browser, 'guest', url);
  await step('a third one watches', async () => {
    await guest.sees('#served', 'You are watching');
    await guest.hasMoves(7);
    assert.equal(await guest.home(), await white.home());
  });

  await step('a login is counted in one place, the stateless API everywhere', async () => {
    await white.page.fill('#user', 'Ann');
    await white.page.click('#login button');
    await white.sees('#who', 'Ann · 1 visit');
    await white.page.click('#visit');
    await white.sees('#who', '5 visits');
    const visits = await white.page.locator('#visits i').allTextContents();
    assert.equal(new Set(visits).size, 1, `one backend: ${visits}`);
    await white.page.click('#ask');
    await white.page.waitForFunction(() => document.querySelectorAll('#answers i').length === 12);
    const answers = await white.page.locator('#answers i').allTextContents();
    assert.equal(new Set(answers).size, 3, `three backends: ${answers}`);
  });

  await white.shot('1-light', { fullPage: true });
  await black.shot('2-dark', { fullPage: true });

  disturbed = true;
  await step('a killed backend’s room comes back elsewhere, with a notice', async () => {
    const home = await white.home();
    await white.orders(home, 'Kill');
    await white.sees(`[data-backend=${home}]`, 'Killed');
    await everywhere([...both, guest], async (visitor) => {
      await visitor.sees('#events', `moved from ${home} to`);
      await visitor.waitsForHome();
    });
    const homes = new Set(await Promise.all([...both, guest].map((visitor) => visitor.home())));
    assert.equal(homes.size, 1, `one home: ${[...homes]}`);
    assert.ok(!homes.has(home));
    await white.shot('3-killed', { fullPage: true });
    await white.page.click('#lost button');
    await everywhere([...both, guest], (visitor) => visitor.hasMoves(7));
    await black.sees('#seat-near', 'Black');
    await white.orders(home, 'Restart');
    await white.sees(`[data-backend=${home}] .health`, 'up');
    assert.ok(homes.has(await white.home()), 'the room stays where it lives now');
  });

  await step('a drained backend keeps its room for a while, then the room moves and can be replayed', async () => {
    const all = [...both, guest];
    const home = await white.home();
    await white.orders(home, 'Drain');
    await white.sees(`[data-backend=${home}] .drain`, /Draining: \d+ sessions?, \d+ connections, \d+ s left/);
    await black.sees('#events', `${home} is draining`);
    assert.equal(await white.home(), home, 'the room stays for now');
    await black.clicks('d7', 'd6');
    await everywhere(all, (visitor) => visitor.hasMoves(8));
    await white.shot('4-draining', { fullPage: true });
    await everywhere(all, (visitor) => visitor.sees('#events', `moved from ${home} to`));
    await white.sees(`[data-backend=${home}] .drain`, 'Drained');
    await white.sees('#events', `${home} is drained`);
    await everywhere(all, (visitor) => visitor.waitsForHome());
    const homes = new Set(await Promise.all(all.map((visitor) => visitor.home())));
    assert.ok(homes.size === 1 && !homes.has(home), `one other home: ${[...homes]}`);
    await white.page.click('#lost button');
    await everywhere(all, (visitor) => visitor.hasMoves(8));
    await white.shot('5-drained', { fullPage: true });
    await white.orders(home, 'Ready');
    await white.sees('#events', `${home} is ready`);
    await white.page.waitForSelector(`[data-backend=${home}] .drain`, { state: 'detached' });
  });

  await step('backends join and leave, and the room does not notice', async () => {
    const home = await white.home();
    for (const name of ['dora', 'emil', 'fred']) {
      await white.page.click('#add');
      await white.sees(`[data-backend=${name}] .health`, 'up');
      await black.sees('#events', `${name} joined`);
    }
    assert.ok(await white.page.isDisabled('#add'), 'six are enough');
    await white.shot('6-six', { fullPage: true });
    for (const name of ['dora', 'emil', 'fred']) await white.orders(name, 'Remove');
    for (const name of ['dora', 'emil', 'fred']) {
      await white.page.waitForSelector(`[data-backend=${name}]`, { state: 'detached' });
      await black.sees('#events', `${name} has left`);
    }
    assert.equal(await white.home(), home);
    await everywhere(both, (visitor) => visitor.hasMoves(8));
  });

  await step('without stickiness the game splits, visibly', async () => {
    await white.page.click('#sticky');
    await everywhere(both, (visitor) => visitor.sees('#sticky-label', 'off'));
    await untilSplit(white, black);
    assert.notEqual(await white.home(), await black.home());
    await everywhere(both, (visitor) => visitor.sees('#why-facts', 'balanced'));
    await white.shot('7-split', { fullPage: true });
    await black.shot('8-split-dark');
  });

  await step('stickiness brings the room together again', async () => {
    await white.page.click('#split button');
    await everywhere(both, (visitor) => visitor.sees('#sticky-label', 'on'));
    await everywhere(both, (visitor) => visitor.page.waitForSelector('#split', { state: 'hidden' }));
    await everywhere(both, (visitor) => visitor.waitsForHome());
    assert.equal(await white.home(), await black.home());
  });

  await step('it fits a phone', async () => {
    const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
    await white.page.click('#add');
    await white.orders('dora', 'Drain');
    await white.orders(await white.home(), 'Drain');
    for (const colorScheme of ['light', 'dark']) {
      const visitor = await Visitor.arrive(browser, `phone, ${colorScheme}`, url, { ...phone, colorScheme });
      await visitor.sees('.backend', 'cleo');
      await visitor.sees('.drain', 'Draining');
      await visitor.sees('[data-backend=dora] .drain', 'Drained');
      await visitor.fits();
      await visitor.shot(`9-phone-${colorScheme}`, { fullPage: true });
      await visitor.page.context().close();
    }
    await white.fits();
  });
}

/** Chance may put both players on one backend: then one of them comes in again. */
async function untilSplit(white, black) {
  for (let tries = 0; await white.home() === await black.home(); tries += 1) {
    assert.ok(tries < 20, 'twenty tries, and the game never split');
    await white.page.reload();
  }
  await everywhere([white, black], (visitor) => visitor.sees('#split', 'The game is split'));
}

async function main() {
  if (SHOTS) mkdirSync(SHOTS, { recursive: true });
  const { child, url } = await startDemo();
  try {
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    try {
      await check(browser, url);
    } finally {
      await browser.close();
    }
    await step('SIGINT ends the demo', () => stopDemo(child));
  } finally {
    child.kill('SIGKILL');
  }
}

try {
  await main();
} catch (error) {
  console.error(`not ok  ${error.stack ?? error}`);
  for (const fault of faults) console.error(`        ${fault}`);
  process.exitCode = 1;
}
