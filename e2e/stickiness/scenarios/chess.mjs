// Games in a backend's memory: two players and a spectator per room, to mate. One player's connection breaks meanwhile.

import { request } from '../lib/http.mjs';
import { Player } from '../lib/player.mjs';
import { intact, sideBySide } from '../lib/waits.mjs';

const ROOMS = 30;
const GAMES = [
  ['f3', 'e5', 'g4', 'Qh4#'],
  ['e4', 'e5', 'Bc4', 'Nc6', 'Qh5', 'Nf6', 'Qxf7#'],
];

async function game(scene, path, moves) {
  const white = await Player.join(scene, path, 'white', { seat: 'w', plies: 0 });
  let black = await Player.join(scene, path, 'black', { seat: 'b', plies: 0 });
  const guest = await Player.join(scene, path, 'guest', { seat: 'none', plies: 0 });
  for (const [index, move] of moves.entries()) {
    if (index === 2) {
      black.leave();
      black = await Player.join(scene, path, 'black', { seat: 'b', plies: index });
    }
    (index % 2 === 0 ? white : black).move(move);
    await Promise.all([white, black, guest].map((player) => player.sees(index + 1)));
  }
  await agree(scene, path, [white, black, guest]);
  return white.home;
}

async function agree(scene, path, players) {
  const { json } = await request(scene.url + path);
  for (const { who, board } of players) {
    intact(board.mate, `${who} sees no mate: ${board.fen}`);
    intact(board.fen === json.fen, `${who} sees ${board.fen} on ${board.at}, HTTP ${json.fen} on ${json.at}`);
  }
}

function playing(path) {
  return async (scene) => {
    const homes = await sideBySide(ROOMS, (n) => game(scene, path(`${scene.prefix}-${n}`), GAMES[n % GAMES.length]));
    scene.spread(homes);
  };
}

/** @type {import('../lib/scene.mjs').Scenario[]} */
export default [
  {
    name: 'chess/path',
    server: 'chess.mjs',
    sticky: { mode: 'table', key: ['path:/game/{room}'] },
    run: playing((room) => `/game/${room}`),
  },
  {
    name: 'chess/query',
    server: 'chess.mjs',
    sticky: { mode: 'table', key: ['query:room'] },
    run: playing((room) => `/play?room=${room}`),
  },
];
