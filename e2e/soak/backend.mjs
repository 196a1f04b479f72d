// A backend with memory, in a process of its own: it counts the requests of each room, and marks every answer with the
// marker of the request.
//
//   node backend.mjs NAME PORT [WRONG]       WRONG: one answer of so many carries another marker, to prove the check
//
// SIGTERM: asks the proxy by its health answers to drain it, and ends when nobody has been here for a while.

import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { filled } from './lib/markers.mjs';

const [name, port, wrong = '0'] = process.argv.slice(2);
const life = `${name}/${randomUUID().slice(0, 8)}`;
const QUIET = 1_500;

const counts = new Map();
let answers = 0;
let draining = false;
let last = performance.now();

function mark(marker) {
  answers += 1;
  return wrong !== '0' && answers % Number(wrong) === 0 ? `${marker}x` : marker;
}

async function answer(request, response) {
  const url = new URL(request.url, 'http://backend');
  if (url.pathname === '/healthz') {
    return response.setHeader('x-instance-id', life).setHeader('x-draining', `${draining}`).end('well');
  }
  last = performance.now();
  const room = url.pathname.split('/')[2];
  const count = (counts.get(room) ?? 0) + 1;
  counts.set(room, count);
  const hash = createHash('sha256');
  for await (const data of request) hash.update(data);
  const marker = mark(url.searchParams.get('marker'));
  response.setHeader('x-life', life).setHeader('x-count', count).setHeader('x-sha256', hash.digest('hex'));
  return response.setHeader('x-marker', marker).end(filled(marker, Number(url.searchParams.get('size') ?? 0)));
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
server.keepAliveTimeout = 60_000;
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.send(life);
  socket.on('message', (data) => socket.send(mark(`${data}`)));
});
server.listen(Number(port), '127.0.0.1', () => process.send('listens'));

process.on('SIGTERM', () => {
  draining = true;
  const look = setInterval(() => {
    if (sockets.clients.size > 0) last = performance.now();
    if (performance.now() - last > QUIET) process.exit(0);
  }, 100);
  look.unref();
});
process.on('disconnect', () => process.exit(1));
