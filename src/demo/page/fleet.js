// The fleet: its backends with what they hold, the switches, and what happened.

import { $, badge, colourOf, el, learnColours, render, withBadges } from './dom.js';
import { Connection, post } from './net.js';

const CHIPS = 12;
const TOASTS = 2;
const TOAST_STAYS = 6_000;
/** Seconds that a drain takes at most in this demo. */
const DRAIN = 20;

const STICKY = {
  on: 'Each room and each login has one home. Turn this off, and every connection goes to the next backend in turn: '
    + 'players of one game land on different boards.',
  off: 'Every connection goes to the next backend in turn, as with a plain load balancer. Turn this on, and each room '
    + 'gets one home again.',
};

export class Fleet extends EventTarget {
  #room; #state = null; #seen = null;

  constructor(room) {
    super();
    this.#room = room;
    new Connection({ target: () => '/demo/feed', hear: (state) => this.#hear(state) });
    $('add').onclick = () => this.#order('/demo/backends');
    $('sticky').onclick = () => this.switchTo(!this.sticky);
  }

  get sticky() {
    return this.#state?.sticky ?? true;
  }

  /** Rooms of this name with people in them: `[{ backend, kind, members, plies }]`. */
  get homes() {
    const backends = this.#state?.backends ?? [];
    const mine = (room) => room.room === this.#room && room.members > 0;
    return backends.flatMap(({ name, rooms }) => rooms.filter(mine).map((room) => ({ ...room, backend: name })));
  }

  /** The proxy's admin listener, `host:port`. */
  get admin() {
    return this.#state?.admin;
  }

  switchTo(on) {
    return this.#order('/demo/stickiness', { on });
  }

  async #order(path, wanted) {
    const { ok, body } = await post(path, wanted);
    if (!ok) toast('error', body.error ?? 'The proxy does not answer.');
  }

  #hear(state) {
    const switched = this.#state && this.#state.sticky !== state.sticky;
    this.#state = state;
    learnColours(state.backends.map(({ name }) => name));
    this.#showSwitch();
    this.#showBackends();
    this.#showEvents();
    if (switched) this.dispatchEvent(new Event('switched'));
    this.dispatchEvent(new Event('state'));
  }

  #showSwitch() {
    $('sticky').setAttribute('aria-checked', this.sticky);
    $('sticky-label').textContent = this.sticky ? 'Stickiness is on' : 'Stickiness is off';
    $('sticky-text').textContent = STICKY[this.sticky ? 'on' : 'off'];
    document.body.classList.toggle('loose', !this.sticky);
  }

  #showBackends() {
    const proxy = this.#state.proxy.pools?.find(({ name }) => name === 'app')?.backends ?? [];
    const cards = this.#state.backends.map((backend) => {
      const seen = proxy.find(({ name }) => name === backend.name) ?? {};
      return { ...backend, health: seen.health ?? 'unknown', sessions: seen.sessions ?? 0, drain: seen.drain ?? null };
    });
    const place = $('backends');
    while (place.children.length < cards.length) place.append(el('article', { class: 'card backend' }));
    while (place.children.length > cards.length) place.lastChild.remove();
    cards.forEach((card, index) => this.#card(place.children[index], card));
    $('add').disabled = !this.#state.room;
  }

  #card(place, card) {
    place.dataset.colour = colourOf(card.name);
    place.dataset.backend = card.name;
    place.classList.toggle('gone', !card.running);
    place.classList.toggle('leaving', Boolean(card.drain));
    const { name, address, running, health, sessions, logins, rooms, stay } = card;
    const drain = card.drain && { ...card.drain, seconds_left: Math.ceil(card.drain.seconds_left) };
    render(place, [name, address, running, health, sessions, logins, rooms, stay, drain], () => [
      el('header', {},
        el('h3', { text: name }),
        el('span', { class: `health ${health}`, text: health, title: 'What the proxy’s health checks say' }),
        el('span', { class: 'acts' }, ...this.#acts(card))),
      el('p', { class: 'address' }, el('code', { text: address }),
        ` · ${count(sessions, 'session')} · ${count(logins, 'login')}`),
      drain && this.#progress(drain, stay),
      this.#chips(running, rooms),
    ]);
  }

  #acts({ name, running, stay, drain }) {
    const act = (what) => () => this.#order(`/demo/backends/${name}/${what}`);
    const quiet = (text, title, what, more = '') => el('button', { class: `quiet ${more}`, text, title, onclick: act(what) });
    const acts = [];
    if (stay === 'added') acts.push(quiet('Remove', 'Drain it, then take it out of the fleet', 'remove'));
    if (drain && stay !== 'leaving') acts.push(quiet('Ready', 'Let it take new rooms and logins again', 'ready'));
    if (!drain && running) acts.push(quiet('Drain', 'Nothing new; what it has may stay for 20 s', 'drain'));
    if (running) acts.push(quiet('Kill', 'Close its sockets, lose its memory', 'kill', 'danger'));
    else acts.push(el('button', { text: 'Restart', title: 'Same port, empty memory', onclick: act('restart') }));
    return acts;
  }

  /** How far a backend is on its way out, which takes up to `DRAIN` seconds. */
  #progress({ done, sessions, connections, seconds_left: left }, stay) {
    const going = stay === 'leaving' ? 'Leaving' : 'Draining';
    if (done) {
      return el('p', { class: 'drain', text: stay === 'leaving' ? 'No session is left. It goes now.' : 'Drained: no session and no connection is left.' });
    }
    const rest = [count(sessions, 'session'), count(connections, 'connection')].join(', ');
    return el('p', { class: 'drain' },
      el('span', { text: `${going}: ${rest}, ${left} s left` }),
      el('progress', { max: DRAIN, value: Math.max(0, DRAIN - left), 'aria-label': `${going}` }));
  }

  #chips(running, rooms) {
    if (!running) return el('p', { class: 'hint', text: 'Killed. Sockets closed, memory gone.' });
    if (rooms.length === 0) return el('p', { class: 'hint', text: 'No rooms.' });
    const chips = rooms.slice(0, CHIPS).map((room) => this.#chip(room));
    if (rooms.length > CHIPS) chips.push(el('span', { class: 'chip', text: `${rooms.length - CHIPS} more` }));
    return el('p', { class: 'chips' }, ...chips);
  }

  #chip({ room, kind, members, plies }) {
    const classes = ['chip', room === this.#room ? 'mine' : '', members === 0 ? 'empty' : ''];
    const facts = [count(members, 'person', 'people'), kind === 'game' ? count(plies, 'move') : null];
    const title = `${kind} “${room}”: ${facts.filter(Boolean).join(', ')}`;
    const number = kind === 'game' && plies > 0 ? `${members}·${plies}` : `${members}`;
    return el('span', { class: classes.join(' '), title, data: { kind } }, room, el('small', { text: number }));
  }

  #showEvents() {
    const events = this.#state.events;
    const latest = events.at(-1)?.id ?? 0;
    if (events.length > 0) {
      render($('events'), latest, () => events.slice(-12).reverse().map(line));
    }
    const news = this.#seen === null ? [] : events.filter(({ id, kind }) => id > this.#seen && kind !== 'health');
    for (const { kind, text } of news.slice(-TOASTS)) toast(kind, text);
    this.#seen = latest;
  }
}

function line({ at, kind, text }) {
  const time = new Date(at).toLocaleTimeString([], { hour12: false });
  return el('li', { data: { kind } }, el('time', { text: time }), el('span', {}, ...withBadges(text)));
}

/** Says something at the edge of the window for a while. */
export function toast(kind, text) {
  const place = $('toasts');
  const note = el('div', { class: 'toast', data: { kind } }, ...withBadges(text));
  note.onclick = () => note.remove();
  place.append(note);
  while (place.children.length > TOASTS) place.firstChild.remove();
  setTimeout(() => note.remove(), TOAST_STAYS);
}

/** What is wrong with this room when its people are on several backends; `null` when nothing is. */
export function splitOf({ homes, mine, chat }) {
  const games = homes.filter(({ kind }) => kind === 'game');
  const here = games.find(({ backend }) => backend === mine);
  const elsewhere = games.filter(({ backend }) => backend !== mine);
  if (mine && elsewhere.length > 0) return { kind: 'game', here, elsewhere };
  if (mine && chat && chat !== mine) return { kind: 'chat', here, chat };
  return null;
}

export function describeSplit(split, mine, you) {
  if (split.kind === 'chat') {
    return ['This room is split: its board is on ', badge(mine), ', your chat on ', badge(split.chat), '.'];
  }
  const names = split.elsewhere.flatMap(({ backend }, n) => (n > 0 ? [' and ', badge(backend)] : [badge(backend)]));
  const others = you === 'spectator' || names.length > 1 ? ', others on ' : ', your opponent on ';
  return ['The game is split: you are on ', badge(mine), others, ...names, '.'];
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
