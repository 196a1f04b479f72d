// Waits that end, and the two ways in which a scenario can fail.

import { setTimeout as pause } from 'node:timers/promises';

/** How long anything may take before it counts as never happening, in milliseconds. */
export const PATIENCE = 20_000;
const BETWEEN_LOOKS = 50;

/**
 * The application is broken for the one who uses it: a session, a game or a login is not where it was. Without
 * stickiness this is what must happen; every other error is a fault of the check or of the proxy.
 */
export class Broken extends Error {}

/**
 * The promise's value, or an error that says what did not happen in time.
 * @template T
 * @param {Promise<T>} promise
 * @param {string} what
 * @param {number} [patience] in milliseconds
 * @returns {Promise<T>}
 */
export async function within(promise, what, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${patience} ms`)), patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks again and again until the answer is truthy, and returns it. For what nobody announces.
 * @template T
 * @param {() => Promise<T> | T} look
 * @param {string} what
 * @returns {Promise<T>}
 */
export async function until(look, what) {
  const end = performance.now() + PATIENCE;
  for (;;) {
    const answer = await look();
    if (answer) return answer;
    if (performance.now() > end) throw new Error(`${what}: not within ${PATIENCE} ms`);
    await pause(BETWEEN_LOOKS);
  }
}

/**
 * Runs `count` of them side by side; the first error is the whole one's.
 * @template T
 * @param {number} count
 * @param {(index: number) => Promise<T>} run
 * @returns {Promise<T[]>}
 */
export function sideBySide(count, run) {
  return Promise.all(Array.from({ length: count }, (_, index) => run(index)));
}

/** Says that the application is broken unless `condition` holds. */
export function intact(condition, how) {
  if (!condition) throw new Broken(how);
}
