// The chat of this room.

import { $, badge, el } from './dom.js';
import { Connection } from './net.js';

const KEPT = 10;
const BIRDS = [
  'Wren', 'Robin', 'Swift', 'Jay', 'Finch', 'Heron', 'Plover', 'Martin', 'Lark', 'Dunlin', 'Crane', 'Siskin', 'Teal',
  'Linnet', 'Osprey', 'Merlin', 'Kite', 'Egret', 'Avocet', 'Curlew', 'Tern', 'Gannet', 'Pipit', 'Starling',
];

export class Chat extends EventTarget {
  #connection; #backend = null; #members = 0;

  constructor(room) {
    super();
    const name = $('name');
    name.value = sessionStorage.getItem('name') ?? BIRDS[Math.floor(Math.random() * BIRDS.length)];
    sessionStorage.setItem('name', name.value);
    this.#connection = new Connection({
      target: () => `/chat/${room}?name=${encodeURIComponent(name.value)}`,
      hear: (told) => this.#hear(told),
      tell: (link) => link !== 'open' && this.#at(null),
    });
    name.onchange = () => {
      sessionStorage.setItem('name', name.value);
      this.redial();
    };
    $('say').onsubmit = (event) => {
      event.preventDefault();
      const text = $('text').value.trim();
      if (text) this.#connection.send({ type: 'say', text });
      $('text').value = '';
    };
  }

  /** The backend that this window's chat is on; `null` while there is no connection. */
  get backend() {
    return this.#backend;
  }

  redial(wait) {
    this.#connection.redial(wait);
  }

  #at(backend) {
    this.#backend = backend;
    this.#where();
    this.dispatchEvent(new Event('state'));
  }

  #hear(told) {
    const list = $('messages');
    if (told.type === 'history') {
      list.replaceChildren(...told.messages.map(message));
      if (told.messages.length === 0) list.append(el('li', { class: 'nothing', text: 'Nobody has said anything yet.' }));
      this.#members = told.members;
      this.#at(told.backend);
    } else if (told.type === 'message') {
      list.querySelector('.nothing')?.remove();
      list.append(message(told));
      while (list.children.length > KEPT) list.firstChild.remove();
    } else if (told.type === 'members') {
      this.#members = told.count;
      this.#where();
    }
    list.scrollTop = list.scrollHeight;
  }

  #where() {
    const people = this.#members === 1 ? 'only you' : `${this.#members} people`;
    const where = this.#backend ? ['on ', badge(this.#backend), ` · ${people}`] : ['connecting…'];
    $('chat-where').replaceChildren(...where);
  }
}

function message({ name, text, at }) {
  const time = new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return el('li', {}, el('b', { text: name }), el('span', { text }), el('time', { text: time }));
}
