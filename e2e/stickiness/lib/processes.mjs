// The processes of a scenario: backends (Node, one of servers/) and the proxy under test.

import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freeAddress } from './ports.mjs';
import { toml } from './toml.mjs';
import { within } from './waits.mjs';

const BINARY = process.env.HOMING_BIN ?? fileURLToPath(new URL('../../../target/release/homing', import.meta.url));

const alive = new Set();
process.on('exit', () => alive.forEach((child) => child.kill('SIGKILL')));

function keep(child) {
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  return child;
}

/** One backend process. It says its port when it listens, and complains about what it should never see. */
export class Backend {
  /**
   * @param {string} server a file of servers/
   * @param {string} name
   */
  static async start(server, name) {
    const file = fileURLToPath(new URL(`../servers/${server}`, import.meta.url));
    const child = keep(fork(file, [name], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
    const backend = new Backend(name, child);
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`backend ${name} ended with ${code}`);
    });
    ended.catch((error) => backend.complaints.push(error.message));
    backend.address = await within(Promise.race([backend.listening, ended]), `backend ${name} listens`);
    return backend;
  }

  constructor(name, child) {
    this.name = name;
    this.child = child;
    /** @type {string[]} */
    this.complaints = [];
    this.listening = new Promise((resolve) => {
      child.on('message', ({ port, settled, complaint }) => {
        if (port) resolve(`127.0.0.1:${port}`);
        if (settled) this.settle();
        if (complaint) this.complaints.push(`${name}: ${complaint}`);
      });
    });
  }

  /** Everything it has complained about until now. */
  async settled() {
    const answer = new Promise((resolve) => { this.settle = resolve; });
    this.child.send('settle');
    await within(answer, `backend ${this.name} answers the runner`);
    return this.complaints;
  }

  /** Starts a new list of complaints. */
  async forget() {
    await this.settled();
    this.complaints = [];
  }

  async stop() {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await within(ended, `backend ${this.name} ends`);
  }
}

/** `homing run` with a file of its own. */
export class Proxy {
  /**
   * Starts it and waits until it listens.
   * @param {Omit<import('./toml.mjs').Setting, 'listen' | 'admin'> & {admin?: boolean}} setting
   */
  static async start({ admin, ...setting }) {
    const proxy = new Proxy(await freeAddress(), admin && await freeAddress());
    proxy.write(setting);
    const child = keep(spawn(BINARY, ['run', '-c', proxy.file], { stdio: ['ignore', 'pipe', 'pipe'] }));
    proxy.child = child;
    proxy.ended = once(child, 'close').then(([code]) => code).finally(() => rmSync(proxy.directory, { recursive: true }));
    const failed = proxy.ended.then((code) => {
      throw new Error(`homing ended with ${code}: ${proxy.refusal()}`);
    });
    failed.catch(() => {});
    const listens = new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          proxy.said.push(line);
          if (line.includes(`listening address=${proxy.listen}`)) resolve();
        });
      }
    });
    await within(Promise.race([listens, failed]), 'homing listens');
    return proxy;
  }

  constructor(listen, admin) {
    this.listen = listen;
    this.admin = admin;
    this.directory = mkdtempSync(join(tmpdir(), 'homing-stickiness-'));
    this.file = join(this.directory, 'proxy.toml');
    /** @type {string[]} */
    this.said = [];
  }

  /** Replaces the file; `reload` makes it count. */
  write(setting) {
    writeFileSync(this.file, toml({ ...setting, listen: this.listen, admin: this.admin }));
  }

  reload() {
    this.child.kill('SIGHUP');
  }

  /** Why it did not start: the faults of the file, or the last it said. */
  refusal() {
    const faults = this.said.filter((line) => line.startsWith('homing: '));
    const lines = faults.length > 0 ? faults : this.said.slice(-2);
    return lines.map((line) => line.replace(/^homing: \S+ /, '')).join('; ');
  }

  /** What it should not have said. */
  get faults() {
    return this.said.filter((line) => line.includes('panicked at'));
  }

  /** Stops it as an operator would. */
  async stop() {
    this.child.kill('SIGTERM');
    const code = await within(this.ended, 'homing stops');
    if (code !== 0) throw new Error(`homing ended with ${code}: ${this.said.slice(-2).join('; ')}`);
  }
}
