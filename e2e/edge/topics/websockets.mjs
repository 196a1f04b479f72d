// Python's websockets, with TLS and without, against a backend of Node's ws.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { poolOf, SITE } from '../lib/edge.mjs';
import { Authority } from '../lib/certificates.mjs';
import { freePort, listen } from '../lib/ports.mjs';
import { SERVER } from '../lib/proxy.mjs';
import { client } from '../lib/python.mjs';

const LARGE = 16 * 1024 * 1024;

// What the client of /last closed with, by the message that it sent first.
let last = '';

const SERVERS = {
  echo: (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })),

  fragments(socket) {
    socket.send('one ', { fin: false });
    socket.send('two ', { fin: false });
    socket.send('three', { fin: true });
  },

  ping(socket) {
    socket.on('pong', (payload) => socket.send(`pong ${payload}`));
    socket.ping('from-backend');
  },

  last(socket) {
    let name;
    socket.on('message', (data) => {
      name = `${data}`;
      socket.send(name || last);
    });
    socket.on('close', (code, reason) => {
      if (name) last = `${name} ${code} ${reason}`;
    });
  },

  close: (socket, code) => socket.on('message', (data) => socket.close(Number(code), data)),
};

/** Starts the backend and returns its address. */
async function serve(stage) {
  const server = createServer();
  const handleProtocols = (offered) => (offered.has('chat.v1') ? 'chat.v1' : false);
  const sockets = new WebSocketServer({ server, handleProtocols, maxPayload: LARGE, perMessageDeflate: true });
  sockets.on('connection', (socket, { url }) => {
    const [, name, detail] = url.split(/[/?]/);
    SERVERS[name](socket, detail);
  });
  stage.defer(() => {
    server.closeAllConnections();
    server.close();
    sockets.clients.forEach((socket) => socket.terminate());
  });
  return `127.0.0.1:${await listen(server)}`;
}

/** @param {import('../lib/stage.mjs').Stage} stage */
export default async function check(stage) {
  const backend = { name: 'anna', address: await serve(stage) };
  const authority = await Authority.make(stage, 'authority');
  // Python looks names up where the system does: the certificate has to be for the loopback.
  await authority.sign('site', { names: [SITE, 'localhost'] });
  const [plain, tls] = [await freePort(), await freePort()];
  await stage.proxy(`${SERVER}
[[listener]]
address = "127.0.0.1:${plain}"
[[listener]]
address = "127.0.0.1:${tls}"
tls = [{ cert = "site.pem", key = "site.key" }]
${poolOf([backend])}`);
  await client(stage, 'websockets_client.py', [`ws://localhost:${plain}`]);
  await client(stage, 'websockets_client.py', [`wss://localhost:${tls}`, authority.cert]);
}
