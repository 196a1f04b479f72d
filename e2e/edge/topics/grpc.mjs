// gRPC by grpcio on both sides: all kinds of calls, errors of backends and of the proxy, health checks, stickiness.

import assert from 'node:assert/strict';
import { Authority } from '../lib/certificates.mjs';
import { freePort } from '../lib/ports.mjs';
import { SERVER } from '../lib/proxy.mjs';
import { client, output, Server } from '../lib/python.mjs';
import { until } from '../lib/waits.mjs';

const FILE = 'grpc_client.py';
const NAMES = ['anna', 'bert', 'cleo'];

/** Proxy and servers. The proxy's only route leads to the service. */
async function open(stage) {
  const servers = {};
  for (const name of NAMES) servers[name] = await Server.start(stage, 'grpc_server.py', [name]);
  const authority = await Authority.make(stage, 'authority');
  await authority.sign('site', { names: ['localhost'] });
  const [plain, tls] = [await freePort(), await freePort()];
  const backends = NAMES.map((name) => `[[pool.backend]]\nname = "${name}"\naddress = "${servers[name].address}"\n`);
  await stage.proxy(`${SERVER}
[[listener]]
address = "127.0.0.1:${plain}"
[[listener]]
address = "127.0.0.1:${tls}"
tls = [{ cert = "site.pem", key = "site.key" }]
[[route]]
path = "/homing.Check"
pool = "app"
[[pool]]
name = "app"
protocol = "http2"
${backends.join('')}
[pool.sticky]
mode = "table"
key = ["header:x-session"]
[pool.health]
grpc = true
interval = "200ms"
rise = 1
fall = 2
`);
  return { servers, authority, plain: `localhost:${plain}`, tls: `localhost:${tls}` };
}

/** @param {import('../lib/stage.mjs').Stage} stage */
export default async function check(stage) {
  const { servers, authority, plain, tls } = await open(stage);
  await client(stage, FILE, ['calls', plain]);
  await client(stage, FILE, ['calls', tls, authority.cert]);

  await stage.check('backends know of deadlines and of streams that were cancelled', async () => {
    const all = async () => (await Promise.all(NAMES.map((name) => servers[name].order('cancelled')))).join(' ').trim();
    const wanted = 'cancel cancel deadline deadline';
    await until(async () => (await all()).split(/ +/).sort().join(' ') === wanted, `the backends note ${wanted}`);
  });

  await client(stage, FILE, ['stick', plain, `${NAMES}`]);

  const serve = async (names) => {
    await until(async () => (await output(FILE, ['homes', plain])).trim() === names.join(' '), `${names} take what is new`);
  };
  await stage.check('a backend that is NOT_SERVING takes nothing new, and is back when it serves', async () => {
    await serve(NAMES);
    assert.equal(await servers.bert.order('not serving'), 'not serving');
    await serve(['anna', 'cleo']);
    assert.equal(await servers.bert.order('serving'), 'serving');
    await serve(NAMES);
  });

  for (const name of NAMES) await servers[name].stop();
  await client(stage, FILE, ['gone', plain]);
}
