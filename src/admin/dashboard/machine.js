// The process itself: its workers, its listeners with their certificates, and what it keeps.

import { $, el, render, table } from './dom.js';
import { DASH, ago, bytes, count, duration, number, percent, rate, since } from './format.js';

const DAY = 86_400;

export class Machine {
  hear(status, rates) {
    this.#showWorkers(status.workers ?? [], rates);
    this.#showListeners(status);
  }

  #showWorkers(workers, rates) {
    const rows = workers.map(({ index, connections, in_flight: flying }) => {
      const { requests, busy } = rates.worker(index);
      return [String(index), number(connections), number(flying), rate(requests), percent(busy)];
    });
    render($('workers'), rows, () => [rows.length > 0
      ? table('Workers', ['#', 'Connections', 'In flight', 'Req/s', 'Busy'], rows)
      : el('p', { class: 'hint', text: DASH })]);
  }

  #showListeners(status) {
    const listeners = (status.listeners ?? []).map((listener) => ({ ...listener, certificates: (listener.certificates ?? []).map(expiry) }));
    const kept = keptOf(status);
    render($('listeners'), [listeners, kept], () => [
      listeners.length === 0 ? el('p', { class: 'hint', text: DASH }) : listeners.map(listenerNode),
      kept.map(({ text, tone }) => el('p', { class: 'kept', text, data: tone ? { tone } : {} })),
    ]);
  }
}

function listenerNode({ address, tls, http2, connections, max_connections: most, certificates }) {
  const speaks = [tls ? 'TLS' : 'plain', http2 ? 'HTTP/2' : null].filter(Boolean).join(' · ');
  const open = `${number(connections)}${most ? ` of ${number(most)}` : ''} connections`;
  return el('div', { class: 'listener' },
    el('p', {}, el('code', { text: address }), ` ${speaks} · ${open}`),
    certificates.map(({ names, text, tone }) => el('p', { class: 'certificate', data: { tone } }, el('span', { text: names }), el('b', { text }))));
}

/** How long a certificate is good for, in days. */
function expiry({ names, not_after: end }) {
  const left = typeof end === 'number' ? -signedAgo(end) : null;
  const tone = left === null ? 'wait' : left < 3 * DAY ? 'bad' : left < 14 * DAY ? 'warn' : 'good';
  const text = left === null ? DASH : left <= 0 ? `expired ${duration(Math.floor(-left / 60) * 60)} ago` : `${left < 2 * DAY ? duration(Math.floor(left / 3600) * 3600) : count(Math.floor(left / DAY), 'day')} left`;
  return { names: (names ?? []).join(', ') || 'certificate', text, tone };
}

// Times to come are negative.
function signedAgo(unix) {
  const now = Date.now() / 1000;
  return unix > now ? now - unix : ago(unix);
}

/** What is kept over a restart, and log lines that were lost. */
function keptOf({ state, log_lines_dropped_total: dropped }) {
  const told = [];
  if (state) {
    const when = state.saved_at ? `saved ${since(state.saved_at)} ago` : 'not saved yet';
    told.push(state.error
      ? { text: `State is not saved: ${state.error}`, tone: 'bad' }
      : { text: `State: ${count(state.sessions, 'session')}, ${bytes(state.bytes)}, ${when}` });
  }
  if (dropped > 0) told.push({ text: `${count(dropped, 'log line')} dropped: the log's reader is too slow`, tone: 'warn' });
  return told;
}
