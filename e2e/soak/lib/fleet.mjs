// The backends, and what happens to them: killed, asked to go, drained by an operator.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const FILE = fileURLToPath(new URL('../backend.mjs', import.meta.url));
const PATIENCE = 60_000;
// After a kill a request may still be written to a connection that the proxy had kept, in milliseconds.
const RACE = 250;
/** How long a backend may take to leave, as the proxy's configuration says it. */
export const DRAIN = { timeout: 8_000, spread: 6_000 };
// How late the proxy may learn of a departure, and keep a deadline, in milliseconds.
const LATE = 1_500;

/** Three backends. */
export class Fleet {
  /** When which backend was killed, in milliseconds of `performance.now()`. */
  kills = [];
  /** When which backend was told to go; its sessions may move from then on. */
  departures = [];
  /** When the proxy ends what is under way at a backend that had to leave. */
  deadlines = [];
  events = { kill: 0, graceful: 0, drain: 0 };
  #children = new Map();

  constructor(ports, wrong) {
    this.ports = ports;
    this.wrong = wrong;
  }

  async start(name) {
    const child = fork(FILE, [name, `${this.ports[name]}`, `${this.wrong}`]);
    this.#children.set(name, child);
    await once(child, 'message', { signal: AbortSignal.timeout(PATIENCE) });
  }

  startAll() {
    return Promise.all(Object.keys(this.ports).map((name) => this.start(name)));
  }

  /** Kills a backend in the middle of whatever it does, and starts it anew. */
  async kill(name) {
    this.events.kill += 1;
    this.kills.push({ name, at: performance.now() });
    this.departures.push({ name, at: performance.now() });
    await this.#ended(name, 'SIGKILL');
    await pause(1_500);
    await this.start(name);
  }

  /** Asks a backend to go. */
  async graceful(name) {
    this.events.graceful += 1;
    this.#departs(name);
    await this.#ended(name, 'SIGTERM');
    await this.start(name);
  }

  /** Drains a backend as an operator does, and takes it back. */
  async drain(name, proxy) {
    this.events.drain += 1;
    this.#departs(name);
    await proxy.order(name, { state: 'drain', timeout: `${DRAIN.timeout}ms` });
    await proxy.drained(name);
    await proxy.order(name, { state: 'ready' });
  }

  /**
   * Why a request of this span that was at `home` (null: anywhere) may have been lost; null if nothing excuses it. The
   * proxy ends at a drain's deadline what is still under way, and says so in its documentation.
   */
  excuse({ home, from, to }) {
    const here = ({ name, at }) => (!home || home === name) && at >= from - RACE;
    if (this.kills.some((kill) => here(kill) && kill.at <= to)) return 'killed';
    const ended = ({ name, at }) => home === name && from <= at + LATE && at <= to && to <= at + LATE;
    return this.deadlines.some(ended) ? 'deadline' : null;
  }

  /** Whether what lived at `home` at a time may live elsewhere later. */
  departed(home, since) {
    return this.departures.some(({ name, at }) => name === home && at >= since - PATIENCE);
  }

  #departs(name) {
    const at = performance.now();
    this.departures.push({ name, at });
    this.deadlines.push({ name, at: at + DRAIN.timeout });
  }

  stop() {
    this.#children.forEach((child) => child.kill('SIGKILL'));
  }

  async #ended(name, signal) {
    const child = this.#children.get(name);
    const ended = once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE) });
    child.kill(signal);
    await ended;
  }
}
