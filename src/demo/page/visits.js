// Two kinds of plain requests: to a login session, which has a home, and to a stateless API, which has none.

import { $, badge, colourOf, el, withBadges } from './dom.js';
import { call, post } from './net.js';

const SHOWN = 16;

function mark(place, backend, good, title) {
  const dot = el('i', { class: good ? 'mark-dot' : 'mark-dot bad', title, text: backend?.[0] ?? '?' });
  dot.dataset.colour = colourOf(backend);
  place.append(dot);
  while (place.children.length > SHOWN) place.firstChild.remove();
}

export class Visits {
  constructor() {
    $('login').onsubmit = (event) => {
      event.preventDefault();
      this.#login($('user').value.trim());
    };
    $('visit').onclick = () => this.#visitOften();
    $('ask').onclick = () => this.#ask();
    const user = localStorage.getItem('user');
    if (!user) return;
    $('user').value = user;
    this.#visit();
  }

  async #login(user) {
    if (!user) return $('user').focus();
    const { ok, body } = await post('/login', { user });
    if (!ok) return this.#say(body.error);
    localStorage.setItem('user', body.user);
    $('visits').replaceChildren();
    await this.#visit();
  }

  async #visitOften() {
    for (let n = 0; n < 4; n += 1) await this.#visit();
  }

  async #visit() {
    const { ok, status, body } = await call('/profile');
    $('visit').hidden = false;
    if (status === 0 || status >= 500) return this.#say(body.error ?? 'No backend answers.');
    mark($('visits'), body.backend, ok, ok ? `visit ${body.visits} on ${body.backend}` : body.error);
    if (!ok) return this.#say(`${body.backend} does not know you: your session is in another backend’s memory, or was.`);
    const visits = body.visits === 1 ? '1 visit' : `${body.visits} visits`;
    $('who').replaceChildren(el('b', { text: body.user }), ` · ${visits} · held by `, badge(body.backend));
  }

  #say(text) {
    $('who').replaceChildren(...withBadges(text ?? 'Something went wrong.'));
  }

  async #ask() {
    for (let n = 0; n < 12; n += 1) {
      const { ok, body } = await call('/api/whoami');
      mark($('answers'), body.backend, ok, ok ? body.backend : 'no answer');
    }
  }
}
