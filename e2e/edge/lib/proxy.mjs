// The proxy under test.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { start } from './processes.mjs';
import { until, within } from './waits.mjs';

const BINARY = process.env.HOMING_BIN ?? fileURLToPath(new URL('../../../target/debug/homing', import.meta.url));

/** What every configuration of these checks begins with. Its log is for machines. */
export const SERVER = `
[server]
workers = 2
shutdown_timeout = "2s"
[log]
format = "json"
`;

/** One `homing run`. */
export class Proxy {
  /** What it logged: objects as it wrote them. */
  said = [];
  /** What it wrote that is no log line. */
  complaints = [];

  /**
   * Starts it and waits until every listener listens.
   * @param {string} file
   */
  static async start(file) {
    const proxy = new Proxy(start(BINARY, ['run', '-c', file]));
    const addresses = [...readFileSync(file, 'utf8').matchAll(/\[\[listener\]\]\naddress = "(.*)"/g)].map(([, at]) => at);
    const failed = proxy.ended.then((code) => {
      throw new Error(`homing ended with ${code}: ${proxy.complaints.join('; ')}`);
    });
    failed.catch(() => {});
    const all = Promise.all(addresses.map((address) => proxy.logs(({ message, address: at }) =>
      message === 'listening' && at === address, `homing listens on ${address}`)));
    await Promise.race([all, failed]);
    return proxy;
  }

  constructor(child) {
    this.child = child;
    this.ended = once(child, 'close').then(([code]) => code);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#hears(line));
    }
  }

  #hears(line) {
    if (line.startsWith('{')) this.said.push(JSON.parse(line));
    else this.complaints.push(line);
  }

  /** The first line that fits, once it is there. */
  logs(fits, what) {
    return until(() => this.said.find(fits), what);
  }

  /** The access line of the request with this path, once it is there. */
  async accessOf(path) {
    return this.logs((line) => line.target === 'access' && line.path === path, `a line for ${path}`);
  }

  /** Stops it as an operator would. */
  async stop() {
    this.child.kill('SIGTERM');
    const code = await within(this.ended, 'homing stops');
    if (code !== 0 || this.complaints.length > 0) throw new Error(`ended with ${code}: ${this.complaints.join('; ')}`);
  }
}
