// Chess games in this process's memory, played over WebSocket. A room is `/game/ROOM` or `?room=ROOM`; the first two
// names in it play, `watch=1` watches. The same address without an upgrade says how the game stands.

import { createServer } from 'node:http';
import { Chess } from 'chess.js';
import { WebSocketServer } from 'ws';
import { NAME, serve } from './serve.mjs';

const rooms = new Map();

function roomOf({ url }) {
  const { pathname, searchParams } = new URL(url, 'http://backend');
  const name = searchParams.get('room') ?? /^\/game\/([^/]+)/.exec(pathname)?.[1];
  return { name, who: searchParams.get('name'), watches: searchParams.has('watch') };
}

function opened(name) {
  if (!rooms.has(name)) rooms.set(name, { chess: new Chess(), seats: { w: null, b: null }, sockets: new Map() });
  return rooms.get(name);
}

function takeSeat(seats, who) {
  const seat = ['w', 'b'].find((colour) => seats[colour] === who) ?? ['w', 'b'].find((colour) => !seats[colour]);
  if (seat) seats[seat] = who;
  return seat ?? 'none';
}

function board({ chess }) {
  return { at: NAME, fen: chess.fen(), plies: chess.history().length, mate: chess.isCheckmate() };
}

function tellAll(room) {
  for (const [socket, seat] of room.sockets) socket.send(JSON.stringify({ ...board(room), seat }));
}

function play(room, seat, move) {
  if (room.chess.turn() !== seat) throw new Error(`not the turn of ${seat}`);
  room.chess.move(move);
}

const server = createServer((request, response) => {
  if (request.url === '/healthz') return response.end();
  const room = rooms.get(roomOf(request).name);
  response.writeHead(room ? 200 : 404, { 'content-type': 'application/json' });
  return response.end(JSON.stringify(room ? board(room) : { at: NAME }));
});

new WebSocketServer({ server }).on('connection', (socket, request) => {
  const { name, who, watches } = roomOf(request);
  const room = opened(name);
  const seat = watches ? 'none' : takeSeat(room.seats, who);
  room.sockets.set(socket, seat);
  socket.on('error', () => {});
  socket.on('close', () => room.sockets.delete(socket));
  socket.on('message', (move) => {
    try {
      play(room, seat, String(move));
      tellAll(room);
    } catch (error) {
      socket.send(JSON.stringify({ error: error.message }));
    }
  });
  socket.send(JSON.stringify({ ...board(room), seat }));
});

serve(server);
