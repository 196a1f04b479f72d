// Waits that end.

import { setTimeout as pause } from 'node:timers/promises';

/** How long anything may take before it counts as never happening, in milliseconds. */
export const PATIENCE = 20_000;
const BETWEEN_LOOKS = 50;

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
 * @param {number} [patience] in milliseconds
 * @returns {Promise<T>}
 */
export async function until(look, what, patience = PATIENCE) {
  const end = performance.now() + patience;
  for (;;) {
    const answer = await look();
    if (answer) return answer;
    if (performance.now() > end) throw new Error(`${what}: not within ${patience} ms`);
    await pause(BETWEEN_LOOKS);
  }
}
