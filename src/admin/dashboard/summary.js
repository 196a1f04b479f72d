// The whole proxy in a few numbers, some with what they were in the last two minutes.

import { $, el, mark, say, svg } from './dom.js';
import { DASH, count, latency, number, rate } from './format.js';
import { together } from './rates.js';

const KEPT = 120;

/** A line through the newest values; gaps where one was not known. */
class Sparkline {
  #values = []; #line = svg('polyline', { points: '' });

  constructor() {
    this.node = svg('svg', { class: 'spark', viewBox: `0 0 ${KEPT} 20`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.#line);
  }

  add(value) {
    // Before the first one that is known there is nothing to draw.
    if (this.#values.length === 0 && !Number.isFinite(value)) return;
    this.#values.push(Number.isFinite(value) ? value : 0);
    if (this.#values.length > KEPT) this.#values.shift();
    const highest = Math.max(...this.#values, 1e-9);
    const start = KEPT - this.#values.length;
    const points = this.#values.map((one, index) => `${start + index},${(19 - (one / highest) * 18).toFixed(1)}`);
    mark(this.#line, 'points', points.join(' '));
  }
}

class Tile {
  #value = el('b', { text: DASH }); #more = el('small'); #spark = null;

  constructor(title, spark) {
    if (spark) this.#spark = new Sparkline();
    this.node = el('div', { class: 'tile' }, el('span', { text: title }), this.#value, this.#more, this.#spark?.node);
  }

  show(value, { more = '', tone = null, drawn } = {}) {
    say(this.#value, value);
    say(this.#more, more);
    mark(this.node, 'data-tone', tone);
    if (drawn !== undefined) this.#spark?.add(drawn);
  }
}

export class Summary {
  #tiles = {
    backends: new Tile('Backends up'),
    sessions: new Tile('Sessions'),
    requests: new Tile('Requests/s', true),
    latency: new Tile('Latency p95', true),
    errors: new Tile('Errors/s', true),
    connections: new Tile('Connections'),
  };

  constructor() {
    $('summary').append(...Object.values(this.#tiles).map(({ node }) => node));
  }

  hear(status, rates, all) {
    const { backends, sessions, requests, latency: slow, errors, connections } = this.#tiles;
    const up = all.filter(({ backend }) => backend.health === 'up').length;
    const leaving = all.filter(({ backend }) => backend.state !== 'ready').length;
    backends.show(`${up} / ${all.length}`, { more: leaving > 0 ? `${leaving} not ready` : '', tone: up < all.length ? 'warn' : 'good' });
    const total = (field) => (status.pools ?? []).reduce((sum, pool) => sum + (pool[field] ?? 0), 0);
    const moved = total('rebound_total');
    sessions.show(number(total('sessions')), { more: moved > 0 ? `${number(moved)} re-bound` : '' });
    const now = together(all.map((one) => one.rates));
    requests.show(rate(now.requests), { drawn: now.requests });
    const [p50, p95] = [0.5, 0.95].map((q) => rates.latency(now.counts, q));
    const highest = rates.bounds?.at(-1);
    slow.show(latency(p95, highest), { more: p50 === null ? '' : `p50 ${latency(p50, highest)}`, drawn: p95 === Infinity ? highest : p95 });
    errors.show(rate(now.errors), { tone: now.errors > 0 ? 'bad' : null, drawn: now.errors });
    const { connections: open, max_connections: most } = status;
    connections.show(number(open), { more: most ? `of ${number(most)}` : '', tone: open > most * 0.9 ? 'warn' : null });
    this.#title(all, up);
  }

  #title(all, up) {
    const title = up < all.length ? `(${all.length - up}) Homing: ${count(all.length - up, 'backend')} not up` : 'Homing';
    if (document.title !== title) document.title = title;
  }
}
