// A browser over HTTP/2: a page, a streamed fetch, and WebSockets on the same connection (RFC 8441).
//
// That a WebSocket came over HTTP/2 is told by two that know nothing of each other: Chromium's own log of its network,
// and a relay between the two that counts connections and sees no other than the page's.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createRelay } from 'node:net';
import { chromium } from 'playwright-core';
import { WebSocketServer } from 'ws';
import { Authority } from '../lib/certificates.mjs';
import { poolOf, SITE } from '../lib/edge.mjs';
import { freePort, listen } from '../lib/ports.mjs';
import { SERVER } from '../lib/proxy.mjs';
import { until } from '../lib/waits.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--ignore-certificate-errors',
  `--host-resolver-rules=MAP ${SITE} 127.0.0.1`,
];
const BACKENDS = ['anna', 'bert', 'cleo'];
const ROOMS = Array.from({ length: 12 }, (_, number) => `room${number}`);

/** A backend with a page, a stream and rooms of WebSockets, which keeps the keys of the handshakes it got. */
class Backend {
  handshakes = [];

  static async start(stage, name) {
    const backend = new Backend(name);
    backend.address = `127.0.0.1:${await listen(backend.server)}`;
    stage.defer(() => backend.stop());
    return backend;
  }

  constructor(name) {
    this.name = name;
    this.server = createServer((request, response) => this.#answers(request, response));
    this.sockets = new WebSocketServer({ server: this.server });
    this.sockets.on('connection', (socket, { url, headers, method, httpVersion }) => {
      this.handshakes.push({ url, method, httpVersion, headers });
      socket.send(`${name} ${url}`);
      socket.on('message', (data, binary) => socket.send(data, { binary }));
      socket.on('close', (code, reason) => { this.closed = `${code} ${reason}`; });
    });
  }

  #answers({ url }, response) {
    if (url.startsWith('/room/')) return response.end(this.name);
    if (url !== '/stream') return response.setHeader('content-type', 'text/html').end('<title>It works</title>');
    response.write('first ');
    this.stream = response;
    return undefined;
  }

  stop() {
    this.sockets.clients.forEach((socket) => socket.terminate());
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Passes on octets and counts connections. */
async function relay(stage, port) {
  const server = createRelay((from) => {
    server.count = (server.count ?? 0) + 1;
    const to = connect(port, '127.0.0.1');
    for (const [one, other] of [[from, to], [to, from]]) one.on('error', () => other.destroy()).pipe(other);
  });
  server.port = await listen(server);
  stage.defer(() => server.close());
  return server;
}

/** In the page: opens a WebSocket, has messages echoed, closes it, and tells what it saw. */
async function converse(path) {
  const socket = new WebSocket(new URL(path, location.href.replace('http', 'ws')));
  socket.binaryType = 'arraybuffer';
  const heard = [];
  let wake = () => {};
  socket.onmessage = ({ data }) => { heard.push(data); wake(); };
  const ended = new Promise((resolve) => { socket.onclose = resolve; });
  const hears = async (count) => {
    while (heard.length < count) {
      await Promise.race([new Promise((resolve) => { wake = resolve; }), ended.then(({ code }) => {
        throw new Error(`closed with ${code}`);
      })]);
    }
  };
  await hears(1);
  const large = new Uint8Array(300_000).map((_, index) => index % 251);
  for (const message of ['hello', 'Grüße 🎲', large]) socket.send(message);
  await hears(4);
  socket.close(4003, 'bye');
  const { code, reason } = await ended;
  const [greeting, ...echoes] = heard;
  const bytes = new Uint8Array(echoes[2]);
  const whole = bytes.length === large.length && bytes.every((byte, index) => byte === large[index]);
  return { greeting, echoes: [...echoes.slice(0, 2), whole], code, reason };
}

/** In the page: reads a stream, and calls `window.got` with each piece. */
async function readStream() {
  const reader = (await fetch('/stream')).body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    await window.got(new TextDecoder().decode(value));
  }
}

/** The requests in Chromium's log: of each, its head and the HTTP/2 session that it went through. */
function requests(file) {
  const { constants, events } = JSON.parse(readFileSync(file, 'utf8'));
  const sent = events.filter(({ type }) => type === constants.logEventTypes.HTTP2_SESSION_SEND_HEADERS);
  return sent.map(({ source, params }) => ({ session: source.id, head: params.headers }));
}

async function open(stage) {
  const backends = [];
  for (const name of BACKENDS) backends.push(await Backend.start(stage, name));
  const authority = await Authority.make(stage, 'authority');
  await authority.sign('site', { names: [SITE] });
  const port = await freePort();
  const proxy = await stage.proxy(`${SERVER}
[[listener]]
address = "127.0.0.1:${port}"
tls = [{ cert = "site.pem", key = "site.key" }]
${poolOf(backends)}
[pool.sticky]
mode = "table"
key = ["path:/room/{room}"]
`);
  return { backends, proxy, relay: await relay(stage, port) };
}

/** @param {import('../lib/stage.mjs').Stage} stage */
export default async function check(stage) {
  const { backends, proxy, relay: between } = await open(stage);
  const netlog = stage.path('netlog.json');
  const log = [`--log-net-log=${netlog}`, '--net-log-capture-mode=Everything'];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...log] });
  stage.defer(() => browser.close());
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  page.setDefaultTimeout(20_000);

  await stage.check('a page over HTTP/2', async () => {
    await page.goto(`https://${SITE}:${between.port}/`);
    assert.equal(await page.title(), 'It works');
    const protocol = await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
    assert.equal(protocol, 'h2');
  });

  await stage.check('a fetch gets each piece when it is sent', async () => {
    let heard = '';
    await page.exposeFunction('got', (piece) => { heard += piece; });
    const done = page.evaluate(readStream);
    await until(() => heard === 'first ', 'the first piece arrives');
    const { stream } = backends.find((backend) => backend.stream);
    stream.write('second ');
    await until(() => heard === 'first second ', 'the second piece arrives');
    stream.end('third');
    await done;
    assert.equal(heard, 'first second third');
  });

  const homes = new Map();
  await stage.check('WebSockets: messages come back, and the close arrives', async () => {
    await page.evaluate(() => fetch('/room/none').then((answer) => answer.text()));
    const before = between.count;
    for (const room of ROOMS) {
      const { greeting, echoes, code, reason } = await page.evaluate(converse, `/room/${room}`);
      const [name, path] = greeting.split(' ');
      homes.set(room, name);
      assert.equal(path, `/room/${room}`);
      assert.deepEqual(echoes, ['hello', 'Grüße 🎲', true]);
      assert.deepEqual([code, reason], [4003, 'bye']);
      await until(() => backends.find((backend) => backend.name === name).closed === '4003 bye', 'the backend is told');
    }
    assert.equal(between.count, before, 'no connection was opened for them');
  });

  await stage.check('the backend sees a handshake of HTTP/1.1 with a key', async () => {
    const handshakes = backends.flatMap((backend) => backend.handshakes);
    assert.equal(handshakes.length, ROOMS.length);
    for (const { method, httpVersion, headers } of handshakes) {
      assert.deepEqual([method, httpVersion, headers['sec-websocket-version']], ['GET', '1.1', '13']);
      assert.equal(Buffer.from(headers['sec-websocket-key'], 'base64').length, 16);
      assert.equal(headers.origin, `https://${SITE}:${between.port}`);
      assert.equal(headers.host, `${SITE}:${between.port}`);
    }
    const keys = new Set(handshakes.map(({ headers }) => headers['sec-websocket-key']));
    assert.equal(keys.size, ROOMS.length, 'each has a key of its own');
  });

  await stage.check('a room has one home, for its WebSockets and its fetches', async () => {
    assert.equal(new Set(homes.values()).size, BACKENDS.length, `homes of ${ROOMS.length} rooms: ${[...homes.values()]}`);
    for (const [room, home] of homes) {
      const fetched = await page.evaluate((path) => fetch(path).then((answer) => answer.text()), `/room/${room}`);
      assert.equal(fetched, home, room);
      const { greeting } = await page.evaluate(converse, `/room/${room}`);
      assert.equal(greeting, `${home} /room/${room}`);
    }
    const { affinity, key_source: source } = await proxy.accessOf('/room/{room}');
    assert.deepEqual([affinity, source], ['placed', 'path:/room/{room}']);
  });

  await stage.check('Chromium’s log has them as extended CONNECTs in the page’s HTTP/2 session', async () => {
    await browser.close();
    const sent = requests(netlog);
    const { session } = sent.find(({ head }) => head.includes(':path: /'));
    const opened = sent.filter(({ head }) => head.includes(':protocol: websocket'));
    assert.equal(opened.length, 2 * ROOMS.length);
    for (const websocket of opened) {
      assert.ok(websocket.head.includes(':method: CONNECT'), `${websocket.head}`);
      assert.equal(websocket.session, session);
    }
  });
}
