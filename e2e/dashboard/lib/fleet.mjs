// A real proxy before real backends, with players who talk to them.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { freeAddress } from '../../stickiness/lib/ports.mjs';
import { until, within } from '../../stickiness/lib/waits.mjs';
import { Backend } from './backend.mjs';

const BINARY = process.env.HOMING_BIN ?? fileURLToPath(new URL('../../../target/debug/homing', import.meta.url));
/** Between two requests of one player, in milliseconds. */
const BEAT = 40;

const alive = new Set();
process.on('exit', () => alive.forEach((child) => child.kill('SIGKILL')));

export class Fleet {
  backends = [];
  players = [];
  said = [];
  #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  /** @param {{ names?: string[], token?: string }} [options] */
  static async start({ names = ['anna', 'bert', 'cleo'], token } = {}) {
    const fleet = new Fleet(await freeAddress(), await freeAddress());
    fleet.backends = await Promise.all(names.map((name) => Backend.start(name)));
    if (token) writeFileSync(join(fleet.directory, 'token'), token, { mode: 0o600 });
    fleet.token = token;
    fleet.write();
    await fleet.run();
    return fleet;
  }

  constructor(listen, admin) {
    [this.listen, this.admin] = [listen, admin];
    this.url = `http://${admin}/`;
    this.directory = mkdtempSync(join(tmpdir(), 'homing-dashboard-'));
    this.file = join(this.directory, 'proxy.toml');
  }

  /** Writes the file; `change` may do something to its text. */
  write(change = (text) => text) {
    const backends = this.backends.map(({ name, address }) => `[[pool.backend]]\nname = "${name}"\naddress = "${address}"\n`);
    writeFileSync(this.file, change(`[server]
workers = 2
shutdown_timeout = "1s"
[log]
access = false
[admin]
address = "${this.admin}"
${this.token ? 'token_file = "token"' : ''}
[[listener]]
address = "${this.listen}"
[[route]]
pool = "chess"
[[pool]]
name = "chess"
${backends.join('')}[pool.sticky]
mode = "table"
key = ["path:/game/{room}"]
[pool.health]
path = "/healthz"
interval = "200ms"
timeout = "2s"
rise = 1
fall = 2
[pool.drain]
timeout = "10m"
spread = "1s"
`));
  }

  /** Starts the proxy and waits until it listens. */
  async run() {
    this.child = spawn(BINARY, ['run', '-c', this.file], { stdio: ['ignore', 'pipe', 'pipe'] });
    alive.add(this.child);
    this.ended = once(this.child, 'close').finally(() => alive.delete(this.child));
    const listens = new Promise((resolve, reject) => {
      for (const stream of [this.child.stdout, this.child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.said.push(line);
          if (line.includes(`listening address=${this.listen}`)) resolve();
        });
      }
      this.child.once('close', (code) => reject(new Error(`homing ended with ${code}: ${this.said.slice(-2).join('; ')}`)));
    });
    await within(listens, 'homing listens');
  }

  /** What the API says of a backend. */
  async status(name) {
    const headers = this.token ? { authorization: `Bearer ${this.token}` } : {};
    const response = await fetch(`${this.url}api/pools/chess/backends/${name}`, { headers });
    return response.json();
  }

  /** Waits until a backend is like this. */
  is(name, wanted) {
    const fits = (status) => Object.entries(wanted).every(([field, value]) => status[field] === value);
    return until(async () => fits(await this.status(name)), `${name} is ${JSON.stringify(wanted)}`);
  }

  backend(name) {
    return this.backends.find((backend) => backend.name === name);
  }

  /** A game in a room of its own: one tunnel, and requests all the time. Resolves to the backend's name. */
  async play(room) {
    const socket = new WebSocket(`ws://${this.listen}/game/${room}`);
    const closed = once(socket, 'close').then(([code]) => code);
    socket.on('error', () => {});
    const [hello] = await within(once(socket, 'message'), `a game in ${room} begins`);
    const beat = setInterval(() => get(`http://${this.listen}/game/${room}/board`, { agent: this.#agent }, (response) => response.resume()).on('error', () => {}), BEAT);
    const player = { room, home: `${hello}`, closed, stop: () => { clearInterval(beat); socket.terminate(); } };
    this.players.push(player);
    return player;
  }

  /** Games until each backend has at least so many. */
  async fill(least) {
    for (let room = 1; ; room += 1) {
      await this.play(room);
      const homes = this.backends.map(({ name }) => this.players.filter(({ home }) => home === name).length);
      if (homes.every((games) => games >= least)) return;
    }
  }

  get faults() {
    return this.said.filter((line) => line.includes('panicked at'));
  }

  async halt() {
    this.child.kill('SIGTERM');
    await within(this.ended, 'homing stops');
  }

  async stop() {
    this.players.forEach((player) => player.stop());
    await this.halt();
    this.#agent.destroy();
    await Promise.all(this.backends.map((backend) => backend.down()));
    rmSync(this.directory, { recursive: true });
    if (this.faults.length > 0) throw new Error(this.faults.join('; '));
  }
}
