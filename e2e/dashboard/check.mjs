// The dashboard in headless Chromium: before a real proxy with real backends, and before one that is made up, for what
// is hard to bring about.
//
//   npm ci
//   HOMING_BIN=../../target/debug/homing node check.mjs           (default: target/debug/homing)
//   HOMING_BIN=… node check.mjs many hostile                      (only these)
//
// Environment: CHROMIUM (default /usr/bin/chromium), SCREENSHOTS (a directory; default: none are kept).
// One line per check; exits with 1 if any failed.

import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { within } from '../stickiness/lib/waits.mjs';
import { Fleet } from './lib/fleet.mjs';
import { Mock } from './lib/mock.mjs';
import { madeUp } from './topics/made-up.mjs';
import { pure } from './topics/pure.mjs';
import { real } from './topics/real.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const LONGEST = 90_000;

/** Does it and says how it went; false if it failed. */
async function report(title, run) {
  const before = performance.now();
  try {
    await within(run(), 'the check ends', LONGEST);
    console.log(`ok      ${title} (${Math.round(performance.now() - before)} ms)`);
    return true;
  } catch (error) {
    console.log(`FAILED  ${title}: ${error.stack}`);
    return false;
  }
}

/** The checks of one kind, one after the other, each with a stage of its own. */
async function all(checks, open) {
  let good = true;
  for (const [title, run] of checks) {
    const about = async () => {
      const stage = await open();
      try {
        await run(stage);
      } finally {
        await stage.stop();
      }
    };
    good = await report(title, about) && good;
  }
  return good;
}

async function main(names) {
  if (process.env.SCREENSHOTS) mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  const chosen = (checks) => Object.entries(checks).filter(([title]) => names.length === 0 || names.some((name) => title.startsWith(name)));
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const alone = await all(chosen({ ...pure, ...real(browser) }), () => ({ stop: () => {} }));
    const others = chosen(madeUp(browser));
    if (others.length === 0) return alone;
    const files = await Fleet.start();
    const good = await all(others, () => Mock.start(files.url));
    await files.stop();
    return alone && good;
  } finally {
    await browser.close();
  }
}

try {
  process.exit(await main(process.argv.slice(2)) ? 0 : 1);
} catch (error) {
  console.error(error);
  process.exit(1);
}
