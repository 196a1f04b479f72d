// A load balancer that says before each connection who the client is, played by curl and a relay of octets.

import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { Backend } from '../lib/backend.mjs';
import { Authority } from '../lib/certificates.mjs';
import { curl, fetched } from '../lib/curl.mjs';
import { poolOf, resolve } from '../lib/edge.mjs';
import { freePort, listen } from '../lib/ports.mjs';
import { SERVER } from '../lib/proxy.mjs';

// Where the client is, for the PROXY header. The proxy sees the relay's address.
const CLIENT = '127.0.0.9';
const FROM_CLIENT = ['--interface', CLIENT];

/** Passes on octets, and so hides the client's address: without the header it is the relay's. */
async function relay(stage, port) {
  const server = createServer((client) => {
    const proxy = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.1' });
    for (const [from, to] of [[client, proxy], [proxy, client]]) from.on('error', () => to.destroy()).pipe(to);
  });
  stage.defer(() => server.close());
  return listen(server);
}

/** @param {import('../lib/stage.mjs').Stage} stage */
export default async function check(stage) {
  const backend = await Backend.start(stage);
  const authority = await Authority.make(stage, 'authority');
  await authority.sign('site', { names: ['site.test'] });
  const [plain, tls, without] = [await freePort(), await freePort(), await freePort()];
  await stage.proxy(`trusted_proxies = ["127.0.0.1"]
${SERVER}
[[listener]]
address = "127.0.0.1:${plain}"
proxy_protocol = true
[[listener]]
address = "127.0.0.1:${tls}"
proxy_protocol = true
tls = [{ cert = "site.pem", key = "site.key" }]
[[listener]]
address = "127.0.0.1:${without}"
${poolOf([backend])}`);

  const arrives = async (port, args) => {
    const behind = await relay(stage, port);
    const trust = ['--cacert', authority.cert, ...resolve('site.test', behind)];
    const url = args.at(-1).replace('PORT', behind);
    const { body } = await fetched([...trust, ...FROM_CLIENT, '--haproxy-protocol', ...args.slice(0, -1), url]);
    assert.equal(JSON.parse(body).headers['x-forwarded-for'], CLIENT);
  };
  await stage.check('the client’s address arrives: HTTP/1.1', () => arrives(plain, ['http://site.test:PORT/']));
  await stage.check('the client’s address arrives: HTTP/2 by prior knowledge', () =>
    arrives(plain, ['--http2-prior-knowledge', 'http://site.test:PORT/']));
  await stage.check('the client’s address arrives: TLS', () => arrives(tls, ['--http1.1', 'https://site.test:PORT/']));
  await stage.check('the client’s address arrives: HTTP/2 with TLS', () =>
    arrives(tls, ['--http2', 'https://site.test:PORT/']));

  await stage.check('without a header the connection is closed', async () => {
    const { code } = await curl([`http://127.0.0.1:${plain}/`]);
    assert.ok([52, 55, 56].includes(code), `curl ended with ${code}`);
  });
  await stage.check('from elsewhere than the load balancer it is closed, whatever it says', async () => {
    const { code } = await curl([...FROM_CLIENT, '--haproxy-protocol', `http://127.0.0.1:${plain}/`]);
    assert.ok([52, 55, 56].includes(code), `curl ended with ${code}`);
  });
  await stage.check('a header where none is configured gets a 400', async () => {
    const before = backend.seen.length;
    const { info } = await fetched(['--haproxy-protocol', `http://127.0.0.1:${without}/`]);
    assert.equal(info.response_code, 400);
    assert.equal(backend.seen.length, before, 'nothing reached the backend');
  });
}
