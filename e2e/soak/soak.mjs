// Mixed load for minutes while backends are killed, leave and are drained: no answer may be lost, foreign or wrong, and
// in the end the proxy must be as it was in the beginning.
//
//   npm ci
//   HOMING_BIN=../../target/release/homing node soak.mjs [MINUTES]      (default 10)
//   WRONG=5000 node soak.mjs 1         one answer of 5,000 carries another marker: this must fail
//   TRACE=1 node soak.mjs 1            with the proxy's log on standard error
//
// Linux only: what the proxy holds is read from /proc. Exits with 1 if anything was not as it should be.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Http1, Http2, Rude, Shared, Slow, Socket } from './lib/clients.mjs';
import { Fleet } from './lib/fleet.mjs';
import { Proxy } from './lib/proxy.mjs';
import { Tally } from './lib/tally.mjs';

const BINARY = process.env.HOMING_BIN ?? fileURLToPath(new URL('../../target/release/homing', import.meta.url));
const MINUTES = Number(process.argv[2] ?? 10);
const NAMES = ['anna', 'bert', 'cleo'];
const CLIENTS = { kept: 10, short: 4, sessions: 3, streams: 8, sockets: 16, slow: 2, rude: 2 };
// Seconds between two events of the fleet: from 20 to 30, in a short run less.
const BETWEEN = Math.min(20, MINUTES * 10);
// What may be left when load and idle time-outs are over, above what there was before.
const TOLERANCES = {
  descriptors: 6, // a health check of each backend, and its answer being read
  threads: 0,
  'memory, KiB': 64 * 1024, // what the allocator keeps; it must not grow with the length of a run
  'in flight': 0,
  connections: 0,
  waiting: 0,
  sessions: 0,
  'affinity violations': 0,
};
// All idle time-outs of the configuration, and their sweeps.
const CALM = 40_000;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function clients(setting) {
  const times = (count, make) => Array.from({ length: count }, (_, number) => make(number));
  const shared = times(CLIENTS.sessions, () => new Shared(setting.port));
  setting.load.shared = shared;
  return [
    times(CLIENTS.kept, () => new Http1('HTTP/1.1, kept', setting)),
    times(CLIENTS.short, () => new Http1('HTTP/1.1, short', setting)),
    times(CLIENTS.sessions * CLIENTS.streams, (n) => new Http2('HTTP/2', { ...setting, shared: shared[n % shared.length] })),
    times(CLIENTS.sockets, () => new Socket('WebSocket', setting)),
    times(CLIENTS.slow, () => new Slow('slow reader', setting)),
    times(CLIENTS.rude, () => new Rude('leaves midway', setting)),
  ].flat();
}

/** One event after the other, so that each comes to each backend in time, until the load is over. */
async function disturb(load, fleet, proxy) {
  const events = [(name) => fleet.kill(name), (name) => fleet.graceful(name), (name) => fleet.drain(name, proxy)];
  for (let turn = 0; ; turn += 1) {
    await pause((BETWEEN + Math.random() * BETWEEN / 2) * 1_000, null, { signal: load.over }).catch(() => {});
    if (!load.on) return;
    const name = NAMES[(turn + Math.floor(turn / events.length)) % NAMES.length];
    await events[turn % events.length](name);
  }
}

/** Keeps the highest of each figure. */
async function watch(load, proxy, peak) {
  while (load.on) {
    for (const [name, value] of Object.entries(await proxy.figures())) peak[name] = Math.max(peak[name] ?? 0, value);
    await pause(1_000, null, { signal: load.over }).catch(() => {});
  }
}

/** Loads the proxy for the time that was asked for. */
async function run({ fleet, proxy, port, tally, peak }) {
  const over = new AbortController();
  const load = { on: true, over: over.signal, fleet };
  const all = clients({ port, tally, load }).map((client) => client.run());
  const others = [disturb(load, fleet, proxy), watch(load, proxy, peak)];
  const stop = () => { load.on = false; over.abort(); };
  const timer = setTimeout(stop, MINUTES * 60_000);
  try {
    await Promise.all([...all, ...others]);
  } finally {
    clearTimeout(timer);
    stop();
    load.shared.forEach((shared) => shared.close());
  }
}

/** Waits until everything is back, and returns what is there then. */
async function calm(proxy, base) {
  const end = performance.now() + CALM;
  for (;;) {
    const now = await proxy.figures();
    const back = Object.keys(now).every((name) => now[name] <= base[name] + TOLERANCES[name]);
    if (back || performance.now() > end) return now;
    await pause(500);
  }
}

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => `${row[column]}`.length)));
  for (const row of rows) {
    console.log(row.map((cell, n) => (n === 0 ? `${cell}`.padEnd(widths[n]) : `${cell}`.padStart(widths[n]))).join('  '));
  }
  console.log('');
}

function report({ tally, fleet, base, peak, end }) {
  const kinds = Object.entries(tally.kinds);
  table([['clients', ...Object.keys(kinds[0][1])], ...kinds.map(([kind, counts]) => [kind, ...Object.values(counts)])]);
  table([['backends', 'times'], ...Object.entries(fleet.events)]);
  table([['lost', 'times'], ...Object.entries(tally.lost)]);
  table([['the proxy', 'before', 'at most', 'after', 'tolerance'], ...Object.keys(end).map((name) =>
    [name, base[name], peak[name], end[name], `+${TOLERANCES[name]}`])]);
}

async function main() {
  const directory = mkdtempSync(join(tmpdir(), 'homing-soak-'));
  const ports = {};
  for (const name of NAMES) ports[name] = await freePort();
  const [listen, admin] = [await freePort(), await freePort()];
  const fleet = new Fleet(ports, process.env.WRONG ?? '0');
  let proxy;
  process.on('exit', () => {
    fleet.stop();
    proxy?.child.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });
  await fleet.startAll();
  proxy = await Proxy.start(BINARY, join(directory, 'proxy.toml'), { listen, admin, ports });
  const [tally, peak] = [new Tally(fleet), {}];
  const base = await proxy.figures();
  await run({ fleet, proxy, port: listen, tally, peak });
  const end = await calm(proxy, base);
  report({ tally, fleet, base, peak, end });
  for (const [name, value] of Object.entries(end)) {
    if (value > base[name] + TOLERANCES[name]) tally.fault(`${name}: ${value} after the load, ${base[name]} before`);
  }
  await proxy.stop();
  proxy.faults.forEach((fault) => tally.fault(fault));
  if (Object.values(tally.kinds).some(({ answered, 'given up': left }) => answered + left === 0)) tally.fault('a kind did nothing');
  const count = tally.faults.length;
  console.log(count === 0 ? `ok      ${MINUTES} minutes` : `FAILED  ${count} faults in ${MINUTES} minutes`);
  return count === 0 ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

try {
  process.exit(await main());
} catch (error) {
  console.error(error);
  process.exit(1);
}
