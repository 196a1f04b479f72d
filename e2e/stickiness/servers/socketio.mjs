// socket.io without an adapter. It counts the messages of each socket, and holds back the upgrade of clients that ask
// for it (`hold` in the query) until they say so, so that they can talk over long-polling first.
//
// Clients with `jar` in the query keep cookies: they are given one with the handshake and must bring it to every later
// request, polling and upgrade alike.

import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { NAME, complain, serve } from './serve.mjs';

const UNKNOWN_SID = 1;
const server = createServer();
const io = new Server(server, { serveClient: false });

// === Upgrades ===

const held = new Map();

function gate(sid) {
  if (!held.has(sid)) {
    const entry = {};
    entry.opened = new Promise((resolve) => { entry.open = resolve; });
    held.set(sid, entry);
  }
  return held.get(sid);
}

io.engine.use((request, _, next) => {
  const { sid, hold } = request._query;
  if (!request.headers.upgrade || !hold || !io.engine.clients[sid]) return next();
  return gate(sid).opened.then(() => next());
});

// === What must not be seen ===

io.engine.on('initial_headers', (headers, request) => {
  if (request._query.jar) headers['set-cookie'] = ['application=1; Path=/', 'second=2; Path=/; HttpOnly'];
});

io.engine.use((request, _, next) => {
  const { jar, sid, transport } = request._query;
  const cookies = request.headers.cookie ?? '';
  if (cookies.includes('homing')) complain(`the proxy's cookie arrived: ${cookies}`);
  const whole = cookies.includes('application=1') && cookies.includes('second=2');
  if (jar && sid && !whole) complain(`cookies are missing at ${transport}: '${cookies}'`);
  next();
});

// A session that has ended here may still be asked for; one that was never here has been sent to the wrong backend.
const issued = new Set();
io.engine.on('connection', ({ id }) => issued.add(id));
io.engine.on('connection_error', ({ code, message, context }) => {
  if (code === UNKNOWN_SID && !issued.has(context.sid)) complain(message);
});

// === Messages ===

io.on('connection', (socket) => {
  let messages = 0;
  socket.on('say', (_text, answer) => {
    messages += 1;
    answer({ at: NAME, messages, transport: socket.conn.transport.name });
  });
  socket.on('upgrade now', () => gate(socket.conn.id).open());
  socket.on('disconnect', () => held.delete(socket.conn.id));
});

serve(server);
