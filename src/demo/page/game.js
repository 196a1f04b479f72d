// The game of this room: its socket, the seats, the move list. The board itself is in board.js.

import { Board } from './board.js';
import { $, el, render, withBadges } from './dom.js';
import { Connection } from './net.js';

const REASONS = {
  checkmate: 'Checkmate',
  resignation: 'Resignation',
  stalemate: 'Stalemate',
  fifty_moves: 'Fifty moves without progress',
  repetition: 'The same position three times',
  material: 'Not enough pieces left to mate',
  move_limit: 'A very long game',
};

const title = (side) => side[0].toUpperCase() + side.slice(1);
const other = (side) => (side === 'white' ? 'black' : 'white');

/** A name for this window that survives a refresh, but not a copy of the window. */
function playerToken(renamed) {
  const fresh = () => {
    const token = crypto.getRandomValues(new Uint32Array(4)).join('-');
    sessionStorage.setItem('player', token);
    return token;
  };
  let token = sessionStorage.getItem('player') ?? fresh();
  const windows = new BroadcastChannel('homing-demo-players');
  const claim = crypto.getRandomValues(new Uint32Array(2)).join('-');
  windows.onmessage = ({ data }) => {
    if (data.token !== token || data.claim === claim) return;
    if (data.mine) {
      // A duplicated tab copies its storage: it sits down as somebody else.
      token = fresh();
      sessionStorage.removeItem('role');
      renamed();
    } else {
      windows.postMessage({ token, claim, mine: true });
    }
  };
  windows.postMessage({ token, claim });
  return () => token;
}

export class Game extends EventTarget {
  #room; #token; #connection; #board; #state = null; #lost = null; #link = 'dialling';

  constructor(room) {
    super();
    this.#room = room;
    this.#token = playerToken(() => this.redial());
    this.#board = new Board($('board'), (uci) => this.#connection.send({ type: 'move', uci }));
    this.#connection = new Connection({
      target: () => `/game/${room}?player=${this.#token()}&role=${this.#role()}`,
      hear: (told) => this.#hear(told),
      tell: (link) => this.#tell(link),
    });
  }

  /** The backend that this window's game is on; `null` while there is no connection. */
  get backend() {
    return this.#link === 'open' ? (this.#state?.backend ?? null) : null;
  }

  /** `white`, `black` or `spectator`. */
  get you() {
    return this.#state?.you ?? 'spectator';
  }

  redial(wait) {
    this.#connection.redial(wait);
  }

  #role() {
    const [room, role] = (sessionStorage.getItem('role') ?? '').split(' ');
    return room === this.#room && role ? role : 'any';
  }

  #tell(link) {
    this.#link = link === 'open' ? this.#link : link;
    this.dispatchEvent(new CustomEvent('link', { detail: this.#link }));
  }

  #hear(told) {
    if (told.type === 'error') {
      this.dispatchEvent(new CustomEvent('refused', { detail: told.message }));
      return;
    }
    const before = this.#state;
    const arrived = this.#link !== 'open';
    this.#state = told;
    this.#link = 'open';
    sessionStorage.setItem('role', `${this.#room} ${told.you === 'spectator' ? 'watch' : told.you}`);
    if (arrived && before?.moves.length > 0 && told.moves.length === 0 && told.game === 1) {
      this.#lost = { from: before.backend, to: told.backend, moves: before.moves };
    } else if (told.moves.length > 0) {
      this.#lost = null;
    }
    this.#show();
    if (arrived) this.dispatchEvent(new CustomEvent('link', { detail: 'open' }));
    this.dispatchEvent(new Event('state'));
  }

  #show() {
    const state = this.#state;
    const near = state.you === 'black' ? 'black' : 'white';
    const last = state.moves.at(-1)?.uci;
    this.#board.show({ fen: state.fen, legal: state.legal, last, check: state.check, flipped: near === 'black' });
    this.#seat($('seat-far'), other(near), []);
    this.#seat($('seat-near'), near, this.#actions());
    this.#moves();
    this.#showLost();
    document.title = state.legal.length > 0 ? `● Your move · ${state.room}` : `${state.room} · Homing demo`;
  }

  #seat(place, side, actions) {
    const state = this.#state;
    const seat = state.seats[side];
    const turn = !state.outcome && state.turn === side;
    place.classList.toggle('turn', turn);
    place.dataset.side = side;
    const key = [side, seat, state.you, this.#remark(side), actions.map(([text]) => text)];
    render(place, key, () => [
      el('i', { class: `presence ${seat.present ? 'here' : seat.taken ? 'away' : 'free'}` }),
      el('b', { text: title(side) }),
      el('span', { class: 'who', text: this.#who(side) }),
      el('span', { class: 'remark', text: this.#remark(side) }),
      this.#sit(side),
      actions.length === 0 ? null : el('span', { class: 'acts' }, ...actions.map(([text, message]) =>
        el('button', { class: 'quiet', text, onclick: () => this.#connection.send(message) }))),
    ]);
  }

  #who(side) {
    const { you, seats } = this.#state;
    if (you === side) return 'you';
    if (!seats[side].taken) return 'nobody yet';
    if (!seats[side].present) return 'away';
    return you === 'spectator' ? 'here' : 'your opponent';
  }

  #remark(side) {
    const { outcome, turn, check, you, moves } = this.#state;
    if (outcome) {
      if (outcome.winner) return outcome.winner === side ? `${REASONS[outcome.reason]}: ${title(side)} wins` : '';
      return side === turn ? `${REASONS[outcome.reason]}: a draw` : '';
    }
    if (turn !== side) return '';
    const call = you === side ? 'Your move' : moves.length === 0 ? `${title(side)} begins` : 'To move';
    return check ? `Check! ${call}` : call;
  }

  #sit(side) {
    const { you, seats } = this.#state;
    if (you !== 'spectator' || seats[side].present) return null;
    return el('button', {
      class: 'quiet',
      text: 'Sit here',
      onclick: () => this.#connection.send({ type: 'sit', seat: side }),
    });
  }

  #actions() {
    const { you, outcome, moves, new_game: asked } = this.#state;
    if (you === 'spectator') return [];
    const again = { type: 'new_game' };
    if (asked.includes(other(you))) return [['Accept a new game', again]];
    if (asked.includes(you)) return [['New game offered', again]];
    if (outcome) return [['Play again', again]];
    return moves.length > 1 ? [['New game', again], ['Resign', { type: 'resign' }]] : [];
  }

  #moves() {
    const { moves, game } = this.#state;
    const list = $('moves');
    render(list, [game, moves.length, moves.at(-1)], () => {
      const rows = [];
      for (let n = 0; n < moves.length; n += 2) {
        const [white, black] = [moves[n], moves[n + 1]];
        rows.push(el('li', {}, el('span', { text: white.san }), black ? el('span', { text: black.san }) : null));
      }
      return rows.length > 0 ? rows : [el('li', { class: 'nothing', text: 'No move yet.' })];
    });
    list.scrollTop = list.scrollHeight;
  }

  #showLost() {
    const lost = this.#lost;
    const place = $('lost');
    place.hidden = !lost;
    if (!lost) return;
    const count = lost.moves.length === 1 ? 'the one move' : `all ${lost.moves.length} moves`;
    const replay = () => this.#connection.send({ type: 'replay', moves: lost.moves.map((move) => move.uci) });
    const fresh = lost.from === lost.to ? 'Now' : `Here on ${lost.to}`;
    render(place, [lost, this.you], () => [
      el('p', {}, ...withBadges(`The board was in ${lost.from}’s memory. ${fresh} there is a fresh one, but this window still knows ${count}.`)),
      this.you === 'spectator' ? null : el('button', { text: 'Bring them back', onclick: replay }),
    ]);
  }
}
