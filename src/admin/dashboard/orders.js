// Orders for a backend: what would happen is said first, with how many it concerns, and done only when confirmed.

import { address, order } from './api.js';
import { announce, el } from './dom.js';
import { open } from './dialogs.js';
import { count } from './format.js';

const done = new EventTarget();

/** Hears `done` after an order was carried out. */
export const orders = done;

const TITLES = {
  drain: (name) => `Drain ${name}?`,
  ready: (name) => `Make ${name} ready?`,
  maint: (name) => `Take ${name} into maintenance?`,
};
const BUTTONS = { drain: 'Drain', ready: 'Make ready', maint: 'Maintenance' };

/** Asks whether a backend, as `fleet.js` describes it, shall be `ready`, `drain` or `maint`, and says so to the proxy. */
export async function ask(wanted, { pool, backend }) {
  const field = el('input', { name: 'timeout', placeholder: 'as the pool says', autocomplete: 'off', size: '10', 'aria-describedby': 'timeout-hint' });
  const timeout = wanted === 'drain' && el('label', { class: 'timeout' }, el('span', { text: 'At most' }), field,
    el('small', { id: 'timeout-hint', text: 'such as 90s, 10m or 1h; empty: the pool’s drain.timeout' }));
  const sentences = consequences(wanted, pool, backend);
  const submit = async () => {
    const body = { state: wanted };
    if (field.value.trim()) body.timeout = field.value.trim();
    await order('PUT', address('api/pools/{}/backends/{}/state', pool.name, backend.name), body);
  };
  const given = await open({
    title: TITLES[wanted](backend.name),
    body: [
      el('p', { class: 'hint', text: `pool ${pool.name} · ${backend.address} · now ${backend.state}, ${backend.health}` }),
      el('ul', {}, sentences.map(({ text, tone }) => el('li', { text, data: tone ? { tone } : {} }))),
      timeout,
    ].filter(Boolean),
    button: BUTTONS[wanted],
    tone: wanted === 'maint' ? 'danger' : undefined,
    submit,
  });
  if (!given) return;
  announce(`${backend.name}: ${wanted}`);
  done.dispatchEvent(new Event('done'));
}

/** What would happen: sentences, some with a tone. */
export function consequences(wanted, pool, backend) {
  const told = { drain: drain(pool, backend), ready: ready(pool, backend), maint: maint(pool, backend) }[wanted];
  if (wanted !== 'ready' && isLast(pool, backend)) {
    told.push({ text: `It is the only backend of ${pool.name} that takes new work: what is new will get 503.`, tone: 'bad' });
  }
  return told;
}

const live = (backend) => `${count(backend.connections, 'open tunnel')} and ${count(Math.max(0, backend.in_flight - backend.connections), 'request')} in flight`;
const text = (...parts) => ({ text: parts.join('') });

function drain(pool, backend) {
  if (pool.mode === 'hash') {
    return [
      text('Its keys go to other backends at once.'),
      text(`${live(backend)} may stay until the deadline; tunnels are closed one by one shortly before it (WebSocket Close 1012).`),
    ];
  }
  const kept = pool.mode === 'none' ? [] : [text(`${sessionsOf(pool, backend)} until they end by themselves or the time is over.`)];
  const [close, moves] = pool.mode === 'none' ? ['tunnels are closed', ''] : ['sessions are ended one by one, each with its tunnels', ', and move with their next request'];
  return [
    text('It takes nothing new.'),
    ...kept,
    text(`${live(backend)} may go on. In the last part of that time ${close} (WebSocket Close 1012)${moves}.`),
  ];
}

function sessionsOf(pool, backend) {
  return pool.mode === 'cookie' && !backend.sessions
    ? 'The sessions whose cookie leads here stay'
    : `${count(backend.sessions, 'session')} ${backend.sessions === 1 ? 'stays' : 'stay'} here`;
}

function maint(pool, backend) {
  const tunnels = `${count(backend.connections, 'open tunnel')} ${backend.connections === 1 ? 'is' : 'are'} closed now (WebSocket Close 1012), and requests under way are ended.`;
  const move = pool.mode === 'cookie' && !backend.sessions
    ? 'All sessions whose cookie leads here move to other backends with their next request: what this one keeps in memory for them is lost to them.'
    : `${count(backend.sessions, 'session')} ${backend.sessions === 1 ? 'moves' : 'move'} to other backends with the next request: what this one keeps in memory for them is lost to them.`;
  return [
    text('It gets nothing any more, new or not.'),
    text(tunnels),
    ...(pool.mode === 'table' || pool.mode === 'cookie' ? [{ text: move, tone: backend.sessions > 0 ? 'warn' : undefined }] : []),
    ...(pool.mode === 'hash' ? [text('Its keys go to other backends at once.')] : []),
  ];
}

function ready(pool, backend) {
  const told = [text('It takes new work again', backend.health === 'up' ? '.' : `, as soon as it is up; now it is ${backend.health}.`)];
  if (pool.mode === 'hash') told.push(text('The keys it had by hash come back to it.'));
  else if (pool.mode !== 'none') told.push(text('Sessions that moved away stay where they are.'));
  if (backend.drain && !backend.drain.done) told.push(text(`The drain under way is called off: ${count(backend.drain.sessions, 'session')} ${backend.drain.sessions === 1 ? 'stays' : 'stay'} here.`));
  return told;
}

function isLast(pool, backend) {
  const takes = ({ state, health, weight }) => state === 'ready' && health !== 'down' && weight > 0;
  return takes(backend) && !pool.backends.some((other) => other.name !== backend.name && takes(other));
}
