// Asks where a request would go, and shows the answer so that it can be read aloud.

import { address, order } from './api.js';
import { $, cell, el, head, row } from './dom.js';
import { duration, number } from './format.js';

const VERDICTS = {
  bound: 'its key is bound there', placed: 'its key is new and would be placed there', rebound: 'its key has lost its backend and would be placed anew',
  balanced: 'it has no key: whose turn it is', unavailable: 'no backend can take it', full: 'every backend is full',
  rejected: 'its backend is down, and it gets no other', waiting: 'it waits for its backend to come back', no_route: 'no route fits',
};
const GOOD = ['bound', 'placed', 'rebound', 'balanced'];
/** Candidates that are shown at first. */
const FEW = 12;

export function offerExplain() {
  $('explain').onsubmit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const button = form.querySelector('button');
    button.disabled = true;
    try {
      const answer = await order('POST', address('api/explain'), question(form));
      $('answer').replaceChildren(...shown(answer));
    } catch (error) {
      $('answer').replaceChildren(el('p', { class: 'error', text: error.message }));
    }
    button.disabled = false;
  };
}

/** What the form describes, as the API takes it. */
function question(form) {
  const { method, url, headers, client_ip: client } = form.elements;
  const described = { method: method.value, url: url.value.trim(), headers: {} };
  for (const line of headers.value.split('\n').filter((one) => one.trim())) {
    const colon = line.indexOf(':');
    if (colon < 1) throw new Error(`“${line.trim()}” is not “Name: value”.`);
    const [name, value] = [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    const before = described.headers[name];
    described.headers[name] = before === undefined ? value : [before, value].flat();
  }
  if (client.value.trim()) described.client_ip = client.value.trim();
  return described;
}

function shown(answer) {
  const { backend, reason, detail, key, key_source: source, route, host, pool, mode, balance, binding, without_binding: unbound, candidates = [] } = answer;
  const facts = [
    ['Route', pool ? `${host || '*'}${route ?? ''} → pool ${pool} (${mode}, ${balance})` : null],
    ['Key', key === null || key === undefined ? (pool ? 'none' : null) : `${key}${source ? ` from ${source}` : ''}`],
    ['Binding', binding ? `${binding.backend ?? 'a backend that is gone'}, ${number(binding.live)} live, for ${duration(binding.age_seconds)}, epoch ${binding.epoch}` : null],
    ['Without it', unbound ? `${unbound.backend ?? 'nobody can say'} (${unbound.reason})` : null],
  ].filter(([, value]) => value !== null);
  return [
    el('p', { class: 'verdict', data: { tone: GOOD.includes(reason) ? 'good' : 'bad' } }, el('b', { text: backend ?? (GOOD.includes(reason) ? 'any' : 'nowhere') }), ` ${reason}: ${VERDICTS[reason] ?? ''}`),
    el('p', { text: detail }),
    el('dl', {}, facts.map(([title, value]) => [el('dt', { text: title }), el('dd', { text: value })])),
    candidates.length > 0 ? candidateTable(candidates, backend) : null,
  ].filter(Boolean);
}

function candidateTable(candidates, chosen) {
  const line = ({ name, rank, state, health, sessions, eligible, why_not: why }) => row({ class: name === chosen ? 'chosen' : undefined },
    cell({ text: rank ? String(rank) : '–' }), cell({}, el('b', { text: name })),
    cell({ text: eligible ? [health, state === 'ready' ? null : state].filter(Boolean).join(', ') : why ?? `${health}, ${state}` }),
    cell({ class: 'number', text: number(sessions) }));
  const more = candidates.length - FEW;
  const rows = candidates.map(line);
  const body = el('tbody', { role: 'rowgroup' }, rows.slice(0, FEW));
  const button = more > 0 ? el('button', { type: 'button', class: 'quiet small', text: `${more} more`, onclick: () => { body.append(...rows.slice(FEW)); button.remove(); } }) : null;
  const titles = ['#', 'Candidate', 'How it stands', 'Sessions'];
  return el('div', { class: 'scroll' }, el('table', { role: 'table', class: 'plain', 'aria-label': 'Candidates, best first' },
    el('thead', { role: 'rowgroup' }, row({}, titles.map((title) => head({ text: title })))), body), button);
}
