// Somebody at a board: a WebSocket to a room of servers/chess.mjs.

import { WebSocket } from 'ws';
import { Broken, intact, within } from './waits.mjs';

/** The connection ended, and how. */
export class Closed extends Broken {
  constructor(who, code) {
    super(`${who}'s connection was closed with ${code}`);
    this.code = code;
    this.at = performance.now();
  }
}

/** One connection of one player or spectator. */
export class Player {
  #waiting = new Set();

  /**
   * Comes into a room and waits for the board.
   * @param {import('./scene.mjs').Scene} scene
   * @param {string} path of the room, with what belongs to its query
   * @param {string} who
   * @param {{seat: 'w' | 'b' | 'none', plies: number}} expected how it must be: anything else is a broken game
   */
  static async join(scene, path, who, expected) {
    const url = new URL(path, scene.url.replace('http', 'ws'));
    url.searchParams.set(...(expected.seat === 'none' ? ['watch', '1'] : ['name', who]));
    const player = new Player(`${who} in ${path}`, new WebSocket(url));
    scene.defer(() => player.leave());
    await player.#until(() => player.board, 'sees a board');
    const { seat, plies, at } = player.board;
    intact(seat === expected.seat, `${player.who} sits as '${seat}' on ${at}`);
    intact(plies === expected.plies, `${player.who} sees ${plies} of ${expected.plies} moves on ${at}`);
    return player;
  }

  constructor(who, socket) {
    this.who = who;
    this.socket = socket;
    /** @type {{at: string, fen: string, plies: number, mate: boolean, seat: string} | undefined} */
    this.board = undefined;
    this.end = undefined;
    socket.on('message', (text) => this.#hears(JSON.parse(text)));
    socket.on('error', (error) => this.#ends(new Error(`${who}: ${error.message}`)));
    socket.on('close', (code) => this.#ends(new Closed(who, code)));
  }

  /** The backend that the game is on. */
  get home() {
    return this.board.at;
  }

  /** @param {string} san a move, as in `Nf3` */
  move(san) {
    this.socket.send(san);
  }

  /** Waits for the board after so many moves. */
  async sees(plies) {
    await this.#until(() => this.board.plies >= plies, `sees move ${plies}`);
    intact(this.board.plies === plies, `${this.who} sees ${this.board.plies} instead of ${plies} moves`);
  }

  /** Rejects with Closed when the connection has ended. */
  async closed() {
    await this.#until(() => false, 'is closed');
  }

  /** Goes without a word, as a phone in a tunnel does. */
  leave() {
    this.socket.terminate();
  }

  #hears({ error, ...board }) {
    if (error) this.#ends(new Broken(`${this.who}: ${error}`));
    else this.board = board;
    this.#wake();
  }

  #ends(error) {
    this.end ??= error;
    this.#wake();
  }

  #wake() {
    for (const look of this.#waiting) look();
  }

  async #until(condition, what) {
    const met = new Promise((resolve, reject) => {
      const look = () => {
        if (condition()) resolve();
        else if (this.end) reject(this.end);
        else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
    await within(met, `${this.who} ${what}`);
  }
}
