// Reloading the file: first what would change, then the word to do it.

import { Refused, address, order } from './api.js';
import { $, announce, el, table } from './dom.js';
import { open } from './dialogs.js';
import { count, number, percent } from './format.js';
import { problemList } from './problems.js';

/** Wires the button; `then` is called after a reload, with what was refused or null. */
export function offerReload(then) {
  $('reload').onclick = () => ask(then);
}

async function ask(then) {
  let plan;
  try {
    const answer = await order('POST', address('api/reload?plan=true'));
    plan = answer.changes;
    // A proxy that knows no plans has done it.
    if (!answer.plan) return finished(then, null);
  } catch (error) {
    await refused(error);
    return undefined;
  }
  const given = await open({
    title: plan.unchanged ? 'The file has not changed' : 'Reload this file?',
    body: planned(plan),
    button: plan.unchanged ? 'Reload anyway' : 'Reload',
    submit: () => order('POST', address('api/reload')),
  });
  return given ? finished(then, null) : undefined;
}

function finished(then) {
  announce('The file was read again and is in force.');
  then();
}

function refused(error) {
  const problems = error instanceof Refused ? error.body.problems ?? [] : [];
  return open({
    title: problems.length > 0 ? `The file has ${count(problems.length, 'problem')}` : 'The file cannot be reloaded',
    body: [
      el('p', { text: problems.length > 0 ? `${error.body.file ?? 'It'} would be refused; nothing has changed.` : error.message }),
      problems.length > 0 ? problemList(problems) : null,
    ].filter(Boolean),
    cancel: 'Close',
  });
}

/** A plan in sentences and lists. */
export function planned(plan) {
  const { sessions, new_keys: keys = [], settings = [], next_start: later = [], backends = [] } = plan;
  const named = (what, { added = [], removed = [], changed = [] } = {}) => [
    added.length > 0 && `${what} added: ${list(added)}`,
    removed.length > 0 && `${what} removed: ${list(removed)}`,
    changed.length > 0 && `${what} changed: ${list(changed)}`,
  ];
  const moved = keys.filter(({ moved: share }) => share > 0);
  const facts = [
    ...named('Listeners', plan.listeners),
    ...named('Pools', plan.pools),
    sessions && sessions.total > 0 && `${number(sessions.move ?? 0)} of ${count(sessions.total, 'session')} would move at once, ${number(sessions.move_by_deadline ?? 0)} by the end of a drain`,
    ...moved.map(({ pool, moved: share }) => `New keys of ${pool}: ${percent(share)} would go elsewhere`),
    settings.length > 0 && `Other settings: ${list(settings)}`,
    later.length > 0 && `Only at the next start: ${list(later)}`,
  ].filter(Boolean);
  if (facts.length === 0 && backends.length === 0) return [el('p', { text: 'Nothing would change.' })];
  const rows = backends.map(({ pool, backend, change, fields = [], sessions: held }) => [`${pool}/${backend}`, [change, list(fields)].filter(Boolean).join(': '), number(held)]);
  return [
    facts.length > 0 ? el('ul', {}, facts.map((text) => el('li', { text }))) : null,
    rows.length > 0 ? el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'Backends' }, table('Backends that change', ['Backend', 'Change', 'Sessions'], rows)) : null,
  ].filter(Boolean);
}

const list = (names) => names.map((name) => (typeof name === 'string' ? name : name.name ?? name.address ?? JSON.stringify(name))).join(', ');
