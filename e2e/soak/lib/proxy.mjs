// The proxy under load, seen from outside: its admin API and what the kernel knows of its process.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { DRAIN } from './fleet.mjs';

const PATIENCE = 20_000;

/** One `homing run`. */
export class Proxy {
  faults = [];

  static async start(binary, file, { listen, admin, ports }) {
    const backends = Object.entries(ports).map(([name, port]) =>
      `[[pool.backend]]\nname = "${name}"\naddress = "127.0.0.1:${port}"\n`);
    writeFileSync(file, `
[server]
workers = 2
shutdown_timeout = "5s"
[log]
access = false
[admin]
address = "127.0.0.1:${admin}"
[limits]
keep_alive = "5s"
[[listener]]
address = "127.0.0.1:${listen}"
[[route]]
pool = "app"
[[pool]]
name = "app"
${backends.join('')}
[pool.sticky]
mode = "table"
key = ["path:/room/{room}"]
idle_timeout = "8s"
[pool.health]
path = "/healthz"
interval = "500ms"
rise = 1
fall = 2
instance_header = "x-instance-id"
drain_header = "x-draining"
[pool.timeouts]
keep_alive = "4s"
[pool.drain]
timeout = "${DRAIN.timeout}ms"
spread = "${DRAIN.spread}ms"
`);
    const proxy = new Proxy(spawn(binary, ['run', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] }), admin);
    await proxy.ready(listen);
    return proxy;
  }

  constructor(child, admin) {
    this.child = child;
    this.api = `http://127.0.0.1:${admin}`;
    this.ended = new Promise((resolve) => { child.once('close', resolve); });
  }

  ready(listen) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('homing does not listen')), PATIENCE);
      const hears = (line) => {
        if (process.env.TRACE) console.error(line);
        if (line.includes('panicked at')) this.faults.push(line);
        if (!line.includes(`listening address=127.0.0.1:${listen}`)) return;
        clearTimeout(late);
        resolve();
      };
      for (const stream of [this.child.stdout, this.child.stderr]) createInterface({ input: stream }).on('line', hears);
      this.child.once('error', reject);
      this.child.once('exit', (code) => reject(new Error(`homing ended with ${code}`)));
    });
  }

  async #call(path, options) {
    const answer = await fetch(`${this.api}${path}`, options);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  order(backend, state) {
    const headers = { 'content-type': 'application/json' };
    return this.#call(`/api/pools/app/backends/${backend}/state`, { method: 'PUT', headers, body: JSON.stringify(state) });
  }

  drained(backend) {
    return this.#call(`/api/pools/app/backends/${backend}/drained?wait=30s`);
  }

  /** What it has open, keeps and does: one number each. */
  async figures() {
    const [pool] = (await this.#call('/api/status')).pools;
    const sum = (field) => pool.backends.reduce((total, backend) => total + backend[field], 0);
    return {
      descriptors: readdirSync(`/proc/${this.child.pid}/fd`).length,
      threads: this.#kernel('Threads'),
      'memory, KiB': this.#kernel('VmRSS'),
      'in flight': sum('in_flight'),
      connections: sum('connections'),
      waiting: pool.waiting,
      sessions: pool.sessions,
      'affinity violations': pool.affinity_violations_total,
    };
  }

  #kernel(field) {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(status)[1]);
  }

  async stop() {
    this.child.kill('SIGTERM');
    const code = await this.ended;
    if (code !== 0) this.faults.push(`homing ended with ${code}`);
  }
}
