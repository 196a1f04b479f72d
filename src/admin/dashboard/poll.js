// Asks for the status every second while somebody looks, ever less often while nothing answers, and at once when told to.

import { Refused, address, look } from './api.js';

const EVERY = 1_000;
const LONGEST = 10_000;
/** Between two questions, however many events there are. */
const SOON = 250;

/**
 * Dispatches `status` with the status, and `lost` with `{ since, next, error }` when it could not be had; `since` is when
 * it was had last, in Unix milliseconds, or null. A refused token stops it until `resume`.
 */
export class Poll extends EventTarget {
  #timer = null; #asking = false; #stopped = false; #failures = 0; #last = null; #asked = -Infinity;

  start() {
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.now(); });
    this.#ask();
  }

  /** Asks now, whatever was planned. */
  now() {
    if (this.#stopped || this.#asking) return;
    clearTimeout(this.#timer);
    const wait = this.#asked + SOON - performance.now();
    this.#timer = setTimeout(() => this.#ask(), Math.max(0, wait));
  }

  resume() {
    this.#stopped = false;
    this.now();
  }

  async #ask() {
    if (this.#asking || document.hidden) return;
    this.#asking = true;
    this.#asked = performance.now();
    try {
      const status = await look(address('api/status'));
      this.#failures = 0;
      this.#last = Date.now();
      this.#tell('status', status);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#asking = false;
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.#ask(), this.#pause);
  }

  #failed(error) {
    if (error instanceof Refused && error.status === 401) {
      this.#stopped = true;
      return;
    }
    this.#failures += 1;
    this.#tell('lost', { since: this.#last, next: this.#pause, error });
  }

  get #pause() {
    return Math.min(LONGEST, EVERY * 2 ** this.#failures);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
