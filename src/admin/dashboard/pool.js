// One pool: its facts, the picture of its shares, and the table of its backends.

import { arrange, el, head, mark, render, row, say } from './dom.js';
import { count, number, percent, rate } from './format.js';
import { BackendRow, COLUMNS } from './row.js';
import { ShareBar } from './share.js';

let pools = 0;

export class PoolView {
  #rows = new Map(); #share = new ShareBar(); #columns = new Map();

  /** `sortBy` is told the key of a column whose title was pressed. */
  constructor(sortBy) {
    const id = `pool-${pools += 1}`;
    this.#build(id, sortBy);
  }

  #build(id, sortBy) {
    this.name = el('span', { class: 'pool-name' });
    this.toggle = el('button', { type: 'button', class: 'toggle', 'aria-expanded': 'true', 'aria-controls': id }, this.name);
    this.toggle.onclick = () => this.open(this.body.hidden);
    this.facts = el('p', { class: 'facts' });
    this.caption = el('p', { class: 'caption hint' });
    const titles = COLUMNS.map(({ key, title, numeric, hint }) => {
      const button = el('button', { type: 'button', text: title, title: hint, onclick: () => sortBy(key) });
      const column = head({ class: numeric ? 'number' : undefined }, button);
      this.#columns.set(key, column);
      return column;
    });
    this.rows = el('tbody', { role: 'rowgroup' });
    this.table = el('table', { role: 'table', class: 'backends' },
      el('thead', { role: 'rowgroup' }, row({}, titles, head({ class: 'acts' }, el('span', { class: 'said', text: 'Actions' })))),
      this.rows);
    this.body = el('div', { id }, this.caption, this.#share.node, this.table);
    this.node = el('section', { class: 'pool' }, el('header', {}, el('h2', {}, this.toggle), this.facts), this.body);
  }

  open(open) {
    this.body.hidden = !open;
    mark(this.toggle, 'aria-expanded', open);
  }

  /** `model` as `fleet.js` describes it; of its backends those in `shown`, in that order. */
  show(model, shown, sorted) {
    const { pool } = model;
    say(this.name, pool.name);
    mark(this.node, 'aria-label', `Pool ${pool.name}`);
    mark(this.table, 'aria-label', `Backends of ${pool.name}`);
    this.node.dataset.pool = pool.name;
    for (const [key, column] of this.#columns) mark(column, 'aria-sort', key === sorted ? (key === 'name' ? 'ascending' : 'descending') : null);
    this.#showFacts(model);
    this.#showShare(model);
    this.#showRows(shown);
  }

  #showFacts({ pool, backends, rates }) {
    const up = backends.filter(({ backend: one }) => one.health === 'up' && one.state === 'ready' && !one.outlier && one.weight > 0).length;
    const facts = [
      { text: `${up} of ${backends.length} take new work`, tone: up === 0 ? 'bad' : up < backends.length ? 'warn' : 'good' },
      { text: `${pool.mode === 'none' ? 'not sticky' : pool.mode} · ${pool.balance}` },
      pool.capacity > 0 && { text: `${number(pool.sessions)} sessions (${percent(pool.sessions / pool.capacity)} of ${number(pool.capacity)})`, tone: pool.sessions > pool.capacity * 0.9 ? 'warn' : undefined },
      rates.requests !== null && { text: `${rate(rates.requests)} req/s` },
      pool.waiting > 0 && { text: `${number(pool.waiting)}${pool.queue_limit ? ` of ${number(pool.queue_limit)}` : ''} waiting`, tone: 'warn' },
      pool.panicking && { text: 'panic: bound sessions stay', tone: 'bad' },
      pool.rebound_total > 0 && { text: `${number(pool.rebound_total)} re-bound` },
      pool.evictions_total > 0 && { text: `${number(pool.evictions_total)} evicted`, tone: 'warn' },
      pool.affinity_violations_total > 0 && { text: count(pool.affinity_violations_total, 'violation'), tone: 'warn' },
    ].filter(Boolean);
    render(this.facts, facts, () => facts.map(({ text, tone }) => el('span', { text, data: tone ? { tone } : {} })));
  }

  #showShare({ backends, pool }) {
    const bySessions = pool.mode === 'table' || backends.some(({ backend }) => backend.sessions > 0);
    const value = ({ backend }) => (bySessions ? backend.sessions : backend.in_flight) ?? 0;
    const what = bySessions ? 'Sessions' : 'Requests in flight';
    this.#share.show(backends.map((one) => ({ name: one.backend.name, value: value(one), hue: one.hue })), what);
    const total = backends.reduce((sum, one) => sum + value(one), 0);
    say(this.caption, total > 0 ? `${what} per backend` : `No ${what.toLowerCase()} now`);
  }

  #showRows(shown) {
    const rows = shown.map((model) => {
      const view = this.#rows.get(model.backend.name) ?? new BackendRow();
      this.#rows.set(model.backend.name, view);
      view.show(model);
      return view.node;
    });
    const here = new Set(rows);
    for (const [name, view] of this.#rows) if (!here.has(view.node)) this.#rows.delete(name);
    arrange(this.rows, rows);
  }
}
