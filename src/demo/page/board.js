// The chessboard: shows a position and lets a player choose among the legal moves, by dragging, by two clicks or by
// keyboard. What is legal it is told.

import { el } from './dom.js';
import { nameOf, piece } from './pieces.js';

const FILES = 'abcdefgh';
const DRAG_FROM = 5;

export class Board {
  #root; #play; #squares = new Map(); #pieces = new Map(); #legal = []; #flipped = false; #selected = null; #drag = null; #fen = '';

  /** `play(uci)` is called with the move that the player chose. */
  constructor(root, play) {
    this.#root = root;
    this.#play = play;
    for (let rank = 8; rank >= 1; rank -= 1) {
      for (const file of FILES) this.#square(file + rank);
    }
    root.onpointerdown = (event) => this.#grab(event);
    root.onpointermove = (event) => this.#pull(event);
    root.onpointerup = (event) => this.#release(event);
    root.onpointercancel = () => this.#letGo();
    root.onkeydown = (event) => this.#key(event);
    this.#arrange();
  }

  /** Shows `fen`. `last` is the move just made, `check` whether the side to move is in check. */
  show({ fen, legal, last, check, flipped }) {
    this.#legal = legal;
    if (flipped !== this.#flipped) {
      this.#flipped = flipped;
      this.#arrange();
    }
    const [placement, turn] = fen.split(' ');
    const wanted = parse(placement);
    this.#place(wanted, last);
    const king = check ? [...wanted].find(([, letter]) => letter === (turn === 'w' ? 'K' : 'k'))?.[0] : null;
    for (const [name, square] of this.#squares) {
      square.classList.toggle('last', Boolean(last) && (last.startsWith(name) || last.slice(2, 4) === name));
      square.classList.toggle('check', name === king);
      square.setAttribute('aria-label', wanted.has(name) ? `${name}, ${nameOf(wanted.get(name))}` : name);
    }
    if (fen !== this.#fen) this.#select(null);
    this.#fen = fen;
    this.#root.classList.toggle('mine', legal.length > 0);
  }

  #square(name) {
    const dark = (FILES.indexOf(name[0]) + Number(name[1])) % 2 === 1;
    const square = el('button', { class: dark ? 'square dark' : 'square', type: 'button', data: { square: name } });
    square.tabIndex = name === 'e2' ? 0 : -1;
    square.onclick = (event) => event.detail === 0 && this.#choose(name);
    this.#squares.set(name, square);
    this.#root.append(square);
  }

  #at(name) {
    const [file, rank] = [FILES.indexOf(name[0]), Number(name[1])];
    return this.#flipped ? [7 - file, rank - 1] : [file, 8 - rank];
  }

  #arrange() {
    for (const [name, square] of this.#squares) {
      const [column, row] = this.#at(name);
      square.style.gridArea = `${row + 1} / ${column + 1}`;
      square.dataset.file = row === 7 ? name[0] : '';
      square.dataset.rank = column === 0 ? name[1] : '';
    }
    for (const [name, shape] of this.#pieces) this.#put(shape, name);
  }

  #put(shape, name) {
    const [column, row] = this.#at(name);
    shape.style.transform = `translate(${column * 100}%, ${row * 100}%)`;
  }

  /** Moves the shapes there are to where they are wanted; what is missing is added, what is left over removed. */
  #place(wanted, last) {
    const spare = [...this.#pieces].filter(([name, shape]) => wanted.get(name) !== shape.letter);
    for (const [name] of spare) this.#pieces.delete(name);
    const missing = [...wanted].filter(([name]) => !this.#pieces.has(name));
    for (const [name, letter] of missing) {
      const from = spare.findIndex(([, shape]) => shape.letter === letter);
      const shape = from < 0 ? this.#add(letter) : spare.splice(from, 1)[0][1];
      this.#pieces.set(name, shape);
      this.#put(shape, name);
      shape.classList.toggle('moving', last?.slice(2, 4) === name);
    }
    for (const [, shape] of spare) shape.remove();
  }

  #add(letter) {
    const shape = piece(letter);
    shape.letter = letter;
    this.#root.append(shape);
    return shape;
  }

  #movesFrom(name) {
    return name ? this.#legal.filter((uci) => uci.startsWith(name)) : [];
  }

  #select(name) {
    this.#selected = name;
    const targets = new Set(this.#movesFrom(name).map((uci) => uci.slice(2, 4)));
    for (const [square, element] of this.#squares) {
      element.classList.toggle('selected', square === name);
      element.classList.toggle('target', targets.has(square));
      element.classList.toggle('capture', targets.has(square) && this.#pieces.has(square));
    }
  }

  /** The second of two choices makes a move; any other selects. */
  #choose(name) {
    const moves = this.#movesFrom(this.#selected).filter((uci) => uci.slice(2, 4) === name);
    if (moves.length > 1) this.#promote(name, moves);
    else if (moves.length === 1) this.#commit(moves[0]);
    else this.#select(name !== this.#selected && this.#movesFrom(name).length > 0 ? name : null);
    return moves.length > 0;
  }

  #commit(uci) {
    this.#select(null);
    this.#play(uci);
  }

  #promote(name, moves) {
    const white = name[1] === '8';
    const menu = el('div', { class: 'promote', role: 'menu', 'aria-label': 'Promote to' });
    const done = (uci) => {
      menu.remove();
      if (uci) this.#commit(uci);
      else this.#select(null);
    };
    for (const kind of 'qrbn') {
      const letter = white ? kind.toUpperCase() : kind;
      const uci = moves.find((move) => move.endsWith(kind));
      const choice = el('button', { type: 'button', role: 'menuitem', 'aria-label': nameOf(letter) }, piece(letter));
      choice.onclick = () => done(uci);
      menu.append(choice);
    }
    menu.onpointerdown = (event) => event.stopPropagation();
    menu.onkeydown = (event) => event.key === 'Escape' && done(null);
    this.#root.append(menu);
    menu.firstChild.focus();
  }

  #under({ clientX, clientY }) {
    const box = this.#root.getBoundingClientRect();
    const column = Math.floor(((clientX - box.left) / box.width) * 8);
    const row = Math.floor(((clientY - box.top) / box.height) * 8);
    if (column < 0 || column > 7 || row < 0 || row > 7) return null;
    return this.#flipped ? FILES[7 - column] + (row + 1) : FILES[column] + (8 - row);
  }

  #grab(event) {
    if (event.button !== 0) return;
    this.#root.querySelector('.promote')?.remove();
    const name = this.#under(event);
    const before = this.#selected;
    if (!name || this.#choose(name)) return;
    const shape = this.#pieces.get(name);
    if (!shape || this.#movesFrom(name).length === 0) return;
    event.preventDefault();
    this.#squares.get(name).focus({ preventScroll: true });
    this.#root.setPointerCapture(event.pointerId);
    this.#select(name);
    this.#drag = { name, shape, x: event.clientX, y: event.clientY, again: before === name, pulled: false };
  }

  #pull(event) {
    const drag = this.#drag;
    if (!drag) return;
    const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
    drag.pulled ||= Math.hypot(x, y) > DRAG_FROM;
    if (!drag.pulled) return;
    const [column, row] = this.#at(drag.name);
    drag.shape.classList.add('dragged');
    drag.shape.style.transform = `translate(calc(${column * 100}% + ${x}px), calc(${row * 100}% + ${y}px))`;
  }

  #release(event) {
    const drag = this.#drag;
    if (!drag) return;
    this.#letGo();
    if (drag.pulled) {
      const name = this.#under(event);
      if (name && name !== drag.name) this.#choose(name);
    } else if (drag.again) {
      this.#select(null);
    }
  }

  #letGo() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    drag.shape.classList.remove('dragged');
    this.#put(drag.shape, drag.name);
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const from = event.target.dataset?.square;
    if (event.key === 'Escape') this.#select(null);
    if (!from || !steps[event.key]) return;
    event.preventDefault();
    const [column, row] = this.#at(from);
    const [right, down] = steps[event.key];
    const next = [...this.#squares].find(([name]) => {
      const [c, r] = this.#at(name);
      return c === column + right && r === row + down;
    });
    if (!next) return;
    event.target.tabIndex = -1;
    next[1].tabIndex = 0;
    next[1].focus();
  }
}

/** Square to FEN letter. */
function parse(placement) {
  const wanted = new Map();
  placement.split('/').forEach((row, index) => {
    let file = 0;
    for (const letter of row) {
      if (letter >= '1' && letter <= '8') file += Number(letter);
      else wanted.set(FILES[file++] + (8 - index), letter);
    }
  });
  return wanted;
}
