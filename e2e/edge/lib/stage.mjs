// What a topic runs on: a directory, processes and servers that are cleared away at the end, and its checks.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Proxy } from './proxy.mjs';

/** One topic's run. */
export class Stage {
  /** Whether everything was as it should be until now. */
  good = true;
  #after = [];

  /** @param {string} topic */
  constructor(topic) {
    this.topic = topic;
    this.directory = mkdtempSync(join(tmpdir(), `homing-edge-${topic}-`));
    process.on('exit', () => rmSync(this.directory, { recursive: true, force: true }));
  }

  /**
   * Does something and says how it went. A check that fails does not keep the next ones from running.
   * @param {string} title
   * @param {() => Promise<void>} run rejects with what differed
   * @param {'aloud' | 'quiet'} [success] whether a line is written if it went well
   */
  async check(title, run, success = 'aloud') {
    const before = performance.now();
    try {
      await run();
      const took = Math.round(performance.now() - before);
      if (success === 'aloud') console.log(`ok      ${this.topic}: ${title} (${took} ms)`);
    } catch (error) {
      this.fails(title, error.message);
      if (process.env.TRACE) console.error(error);
    }
  }

  /** Says how a check went that was made elsewhere; `why` if it failed. */
  tells(title, why) {
    if (why) this.fails(title, why);
    else console.log(`ok      ${this.topic}: ${title}`);
  }

  /** Says that a check failed. */
  fails(title, why) {
    this.good = false;
    console.log(`FAILED  ${this.topic}: ${title}: ${why}`);
  }

  /** Does this when the topic is over, however it went; the last is done first. */
  defer(cleanup) {
    this.#after.unshift(cleanup);
  }

  /** The name of a file in this stage's directory, which is not made. */
  path(name) {
    return join(this.directory, name);
  }

  /** Writes a file and returns its name. */
  file(name, content) {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  /**
   * Starts the proxy; it must have run without fault when the topic is over.
   * @param {string} text its configuration, with files of this stage's directory
   */
  async proxy(text) {
    const proxy = await Proxy.start(this.file('proxy.toml', text));
    this.defer(() => this.check('the proxy stops, and never panicked', () => proxy.stop(), 'quiet'));
    return proxy;
  }

  async close() {
    for (const cleanup of this.#after.splice(0)) await cleanup();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
