// socket.io: long-polling first, then WebSocket, without an adapter. Each session lives in one backend's memory, and
// its id appears first in the body of the handshake's response.

import { io } from 'socket.io-client';
import { Broken, intact, sideBySide, within } from '../lib/waits.mjs';

const CLIENTS = 100;
const MESSAGES = 4;

/** Rejects with Broken as soon as the connection is not what it was. */
function breaks(name, socket) {
  const because = (error) => {
    const { message = error, description, context } = error ?? {};
    return [message, description?.message ?? description, context?.responseText].filter(Boolean).join(', ');
  };
  const broken = new Promise((_, reject) => {
    socket.on('connect_error', (error) => reject(new Broken(`${name}: connect_error: ${because(error)}`)));
    socket.on('disconnect', (reason, details) => {
      reject(new Broken(`${name}: ${reason}: ${because(details)}`));
    });
    socket.io.engine.on('upgradeError', (error) => reject(new Broken(`${name}: no upgrade: ${because(error)}`)));
  });
  broken.catch(() => {});
  return broken;
}

async function talks(name, { socket, unbroken, said }, transport) {
  for (let n = 0; n < MESSAGES; n += 1) {
    const answer = await unbroken(socket.emitWithAck('say', 'hello'), 'is answered');
    said.push(answer);
    intact(answer.messages === said.length, `${name}: message ${said.length} is counted as ${answer.messages}`);
    intact(answer.transport === transport, `${name}: over ${answer.transport} instead of ${transport}`);
  }
}

async function client(scene, name, { jar }) {
  const query = { hold: 1, ...(jar && { jar: 1 }) };
  const socket = io(scene.url, { query, withCredentials: jar, reconnection: false, forceNew: true });
  scene.defer(() => socket.disconnect());
  const broken = breaks(name, socket);
  const unbroken = (promise, what) => within(Promise.race([promise, broken]), `${name} ${what}`);
  const conversation = { socket, unbroken, said: [] };

  const upgraded = new Promise((resolve) => { socket.io.engine.on('upgrade', resolve); });
  await unbroken(new Promise((resolve) => { socket.on('connect', resolve); }), 'connects');
  await talks(name, conversation, 'polling');
  socket.emit('upgrade now');
  await unbroken(upgraded, 'is upgraded');
  await talks(name, conversation, 'websocket');

  const homes = new Set(conversation.said.map(({ at }) => at));
  intact(homes.size === 1, `${name}: on ${[...homes]}`);
  return conversation.said[0].at;
}

function talking(options) {
  return async (scene) => {
    const homes = await sideBySide(CLIENTS, (n) => client(scene, `client-${n}`, options));
    scene.spread(homes);
  };
}

/** @type {import('../lib/scene.mjs').Scenario[]} */
export default [
  { name: 'socketio/cookie', sticky: { mode: 'cookie' }, run: talking({ jar: true }) },
  {
    name: 'socketio/sid',
    sticky: { mode: 'table', key: ['query:sid'], learn: ['body:/sid'] },
    run: talking({ jar: false }),
  },
  { name: 'socketio/preset', sticky: { preset: 'socketio' }, run: talking({ jar: false }) },
].map((scenario) => ({ ...scenario, server: 'socketio.mjs' }));
