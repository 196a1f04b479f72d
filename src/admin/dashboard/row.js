// One backend: a row of its pool's table, and a card where the window is narrow.

import { cell, el, mark, render, row, say } from './dom.js';
import { DASH, count, duration, latency, number, percent, rate, since } from './format.js';
import { ask } from './orders.js';

/** The columns, and what the fleet can be sorted by. Numbers sort from the largest. */
export const COLUMNS = [
  { key: 'name', title: 'Backend' },
  { key: 'health', title: 'State' },
  { key: 'sessions', title: 'Sessions', numeric: true },
  { key: 'connections', title: 'Tunnels', numeric: true, hint: 'Open WebSockets and other upgraded connections' },
  { key: 'in_flight', title: 'In flight', numeric: true, hint: 'Requests whose response has not ended, tunnels included' },
  { key: 'requests', title: 'Req/s', numeric: true, hint: 'Requests per second, over ten seconds' },
  { key: 'p50', title: 'p50', numeric: true, hint: 'Half of the response heads came sooner' },
  { key: 'p95', title: 'p95', numeric: true, hint: '95 of 100 response heads came sooner' },
  { key: 'errors', title: 'Err/s', numeric: true, hint: 'Answers 5xx and failed connects and exchanges, per second' },
];

/** How bad a word of health is. */
const TONES = { up: 'good', suspect: 'warn', down: 'bad', unknown: 'wait' };
const ORDERS = { ready: ['drain', 'maint'], drain: ['ready', 'maint'], maint: ['ready', 'drain'] };
const NAMES = { ready: 'Ready', drain: 'Drain', maint: 'Maint' };

export class BackendRow {
  #model = null; #longest = 0; #cells = {};

  constructor() {
    this.#cells.name = cell({ class: 'name' });
    this.#cells.health = cell({ class: 'state' });
    for (const { key, title, numeric } of COLUMNS) {
      if (numeric) this.#cells[key] = cell({ class: 'number', data: { label: title, key } });
    }
    this.#cells.acts = cell({ class: 'acts' });
    this.node = row({ class: 'backend' }, Object.values(this.#cells));
  }

  /** Shows a backend as `fleet.js` describes it. */
  show(model) {
    this.#model = model;
    const { backend, hue } = model;
    this.node.dataset.backend = backend.name;
    this.node.classList.toggle('away', backend.state !== 'ready' || backend.health === 'down');
    this.node.style.setProperty('--hue', hue);
    this.#showName();
    this.#showState();
    this.#showNumbers();
    const orders = backend.drain?.cause === 'removed' ? [] : ORDERS[backend.state] ?? [];
    render(this.#cells.acts, [backend.name, orders], () => orders.map((wanted) => el('button', {
      type: 'button', class: 'quiet small', text: NAMES[wanted], 'aria-label': `${NAMES[wanted]} ${backend.name}`,
      data: { order: wanted }, onclick: () => ask(wanted, this.#model),
    })));
  }

  #showName() {
    const { name, address, weight, instance } = this.#model.backend;
    render(this.#cells.name, [name, address, weight, instance], () => [
      el('b', { text: name, title: name }),
      el('small', {}, el('code', { text: address, title: instance ? `instance ${instance}` : undefined }),
        weight === 1 ? null : ` · weight ${weight}`),
    ]);
  }

  #showState() {
    const { backend } = this.#model;
    const { health, state, drain } = backend;
    const badges = [[health, TONES[health] ?? 'wait', null]];
    if (state !== 'ready') badges.push([drain?.done && state === 'drain' ? 'drained' : state, 'wait', null]);
    const ejected = backend.ejected_seconds_left;
    if (backend.outlier) badges.push([`ejected${typeof ejected === 'number' ? ` ${duration(ejected)}` : ''}`, 'bad', 'Traffic failed there too often: nothing new for a time']);
    const slow = backend.slow_start;
    if (typeof slow === 'number' && slow < 1) badges.push([`slow start ${percent(slow)}`, 'wait', 'The share of its weight that it has by now']);
    const left = drain && !drain.done ? Math.ceil(drain.seconds_left) : null;
    const why = this.#why();
    render(this.#cells.health, [badges, left, drain?.sessions, drain?.connections, drain?.in_flight, why], () => [
      el('span', { class: 'badges' }, badges.map(([text, tone, title]) => el('span', { class: 'badge', text, title, data: { tone } }))),
      left === null ? null : this.#progress(drain),
      why ? el('small', { class: 'why', text: why, title: why }) : null,
    ]);
  }

  /** What was observed, and since when; in words that change every few seconds at most. */
  #why() {
    const { health_reason: reason, health_since: at, health } = this.#model.backend;
    const told = at ? `${since(at)}` : '';
    return [reason, told].filter(Boolean).join(' · ') || (health === 'unknown' ? 'nothing observed yet' : '');
  }

  #progress({ sessions, connections, in_flight: flying, seconds_left: left, cause }) {
    this.#longest = Math.max(this.#longest, left);
    const rest = [count(sessions, 'session'), count(connections, 'tunnel'), `${number(flying)} in flight`].join(', ');
    const who = { backend: ' (its own wish)', removed: ' (removed from the file)' }[cause] ?? '';
    return el('span', { class: 'drain' },
      el('span', { text: `${rest}; ${duration(left)} left${who}` }),
      el('progress', { max: this.#longest, value: this.#longest - left, 'aria-label': 'Drain' }));
  }

  #showNumbers() {
    const { pool, backend, rates, p50, p95, share, highest } = this.#model;
    const most = (limit) => (limit > 0 ? ` / ${number(limit)}` : '');
    const shared = share === null ? '' : percent(share);
    const { sessions } = this.#cells;
    const held = pool.capacity > 0 ? `${number(backend.sessions)}${most(backend.max_sessions)}` : DASH;
    render(sessions, [held, shared], () => [held, shared && el('small', { text: ` ${shared}` })]);
    say(this.#cells.connections, number(backend.connections));
    say(this.#cells.in_flight, `${number(backend.in_flight)}${most(backend.max_connections)}`);
    say(this.#cells.requests, rate(rates.requests));
    say(this.#cells.p50, latency(p50, highest));
    say(this.#cells.p95, latency(p95, highest));
    say(this.#cells.errors, rate(rates.errors));
    mark(this.#cells.errors, 'data-tone', rates.errors > 0 ? 'bad' : null);
    const parts = `5xx ${rate(rates.answers)}/s, failed ${rate(rates.failures)}/s; since the start: ${number(backend.failures_total)} failed`;
    mark(this.#cells.errors, 'title', rates.errors === null ? DASH : parts);
  }
}
