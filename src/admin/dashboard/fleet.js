// All pools: what each backend is described by, which are shown, and in what order.

import { $, arrange, el, say } from './dom.js';
import { count } from './format.js';
import { PoolView } from './pool.js';
import { together } from './rates.js';
import { COLUMNS } from './row.js';
import { hueOf } from './share.js';

/** From so many backends on, rows say less. */
const MANY = 24;
const WORST = ['down', 'unknown', 'suspect', 'up'];

export class Fleet {
  #views = new Map(); #models = []; #orders = new Map();

  constructor() {
    const options = [['', 'as in the file'], ['trouble', 'trouble first'], ...COLUMNS.map(({ key, title }) => [key, title.toLowerCase()])];
    $('sort').append(...options.map(([value, text]) => el('option', { value, text })));
    $('tools').onsubmit = (event) => event.preventDefault();
    $('filter').oninput = () => this.#draw();
    $('trouble').onchange = () => this.#draw();
    $('sort').onchange = () => this.#draw();
  }

  /** What is known of all pools together. */
  get all() {
    return this.#models.flatMap(({ backends }) => backends);
  }

  hear(status, rates) {
    this.#models = (status.pools ?? []).map((pool) => describe(pool, rates));
    this.#draw();
  }

  #draw() {
    const words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    const trouble = $('trouble').checked;
    const fits = (one) => (!trouble || one.trouble) && words.every((word) => one.text.includes(word));
    let shown = 0;
    const nodes = [];
    for (const model of this.#models) {
      const backends = this.#ordered(model.pool.name, model.backends.filter(fits));
      const isOwn = words.length === 0 && !trouble;
      if (backends.length === 0 && !isOwn) continue;
      shown += backends.length;
      nodes.push(this.#view(model.pool.name, (view) => view.show(model, backends, $('sort').value)));
    }
    const names = new Set(this.#models.map(({ pool }) => pool.name));
    for (const name of this.#views.keys()) if (!names.has(name)) this.#views.delete(name);
    arrange($('pools'), nodes);
    this.#sayHowMany(shown);
  }

  #sayHowMany(shown) {
    const all = this.all.length;
    $('fleet').classList.toggle('many', shown > MANY);
    $('nothing').hidden = shown > 0 || all === 0;
    say($('shown'), shown === all ? count(all, 'backend') : `${shown} of ${count(all, 'backend')}`);
  }

  #view(name, show) {
    const sortBy = (key) => {
      $('sort').value = $('sort').value === key ? '' : key;
      this.#orders.clear();
      this.#draw();
    };
    const view = this.#views.get(name) ?? new PoolView(sortBy);
    this.#views.set(name, view);
    show(view);
    return view.node;
  }

  /** Sorted; but while somebody points at a row or has the focus in one, none moves under their hand. */
  #ordered(pool, backends) {
    const by = $('sort').value;
    if (!by) return backends;
    const busy = document.querySelector('.backends tbody:hover, .backends tbody:focus-within');
    const held = this.#orders.get(pool);
    if (busy && held?.by === by) {
      const place = ({ backend }) => held.places.get(backend.name) ?? Infinity;
      return backends.toSorted((a, b) => place(a) - place(b));
    }
    const sorted = backends.toSorted(COMPARE[by] ?? ((a, b) => (b.sort[by] ?? -1) - (a.sort[by] ?? -1)));
    this.#orders.set(pool, { by, places: new Map(sorted.map(({ backend }, index) => [backend.name, index])) });
    return sorted;
  }
}

const COMPARE = {
  name: (a, b) => a.backend.name.localeCompare(b.backend.name, 'en', { numeric: true }),
  health: (a, b) => WORST.indexOf(a.backend.health) - WORST.indexOf(b.backend.health) || b.weight - a.weight,
  trouble: (a, b) => b.weight - a.weight,
};

/** A pool with the rates of its backends. */
function describe(pool, rates) {
  const sessions = pool.backends.reduce((sum, backend) => sum + (backend.sessions ?? 0), 0);
  const backends = pool.backends.map((backend, index) => {
    const own = rates.backend(pool.name, backend.name);
    const [p50, p95] = [0.5, 0.95].map((q) => rates.latency(own.counts, q));
    const share = sessions > 0 ? backend.sessions / sessions : null;
    const weight = troubleOf(backend, own);
    const text = [pool.name, backend.name, backend.address, backend.state, backend.health, backend.outlier ? 'ejected' : '',
      backend.drain ? 'draining' : ''].join(' ').toLowerCase();
    const sort = { sessions: backend.sessions, connections: backend.connections, in_flight: backend.in_flight, requests: own.requests, errors: own.errors, p50, p95 };
    return { pool, backend, rates: own, p50, p95, share, hue: hueOf(index), highest: rates.bounds?.at(-1), trouble: weight > 0, weight, text, sort };
  });
  return { pool, backends, rates: together(backends.map((one) => one.rates)) };
}

/** How much a backend needs a look: 0 for not at all. */
function troubleOf(backend, rates) {
  return (backend.health === 'up' ? 0 : 8) + (backend.outlier ? 4 : 0) + (rates.errors > 0 ? 2 : 0)
    + (backend.state === 'ready' ? 0 : 1);
}
