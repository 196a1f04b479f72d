// Says which fields of the request arrived, over HTTP and, as the first message, over WebSocket.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { NAME, serve } from './serve.mjs';

const seen = ({ headers }) => JSON.stringify({ at: NAME, headers });

const server = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  if (request.url === '/public') response.setHeader('cache-control', 'public, max-age=60');
  if (request.url === '/own-cookies') response.setHeader('set-cookie', ['one=1; Path=/', 'two=2; HttpOnly']);
  response.end(seen(request));
});

new WebSocketServer({ server }).on('connection', (socket, request) => {
  socket.on('error', () => {});
  socket.send(seen(request));
});

serve(server);
