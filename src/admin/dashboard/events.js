// What has happened, as sentences, the newest first.

import { $, el } from './dom.js';
import { DASH, clock, count, duration, moment } from './format.js';

const KEPT = 200;

const name = (text) => el('b', { text: text || '?' });
const at = (event) => [name(event.backend), event.pool ? ` (${event.pool})` : ''];

const TONES = { up: 'good', suspect: 'warn', down: 'bad' };

/** What is to be said of each kind: a tone, and the parts of a sentence. */
const SENTENCES = {
  health: (event) => [TONES[event.to] ?? 'wait', ...at(event), ` is ${event.to}, was ${event.from}`, event.why ? `: ${event.why}` : ''],
  state: (event) => ['wait', ...at(event), ` ${WANTED[event.state] ?? event.state}`, event.timeout_seconds ? ` within ${duration(event.timeout_seconds)}` : '', `, says the ${BY[event.by] ?? event.by}`],
  drained: (event) => ['good', ...at(event), ' is drained'],
  restart: (event) => ['warn', ...at(event), ' has restarted: it names another instance'],
  address: (event) => ['wait', ...at(event), ` is now at ${event.address}`],
  ejected: (event) => ['bad', ...at(event), ` is ejected for ${duration(event.seconds)}`],
  returned: (event) => ['good', ...at(event), ' is back from its ejection'],
  rebind: (event) => ['warn', `${count(event.sessions, 'session')} of ${event.pool} moved from `, name(event.from), ' to ', name(event.to), ` (${event.cause})`],
  reload: reloaded,
  certificates: (event) => (event.outcome === 'failed' ? ['bad', `Certificates could not be renewed: ${event.error ?? ''}`] : ['good', 'Certificates were renewed']),
  stopping: () => ['warn', 'The proxy is stopping'],
  lagged: (event) => ['warn', `${count(event.missed, 'event')} were missed`],
};

const WANTED = { ready: 'is to be ready', drain: 'is to drain', maint: 'is to go into maintenance' };
const BY = { operator: 'operator', backend: 'backend itself', file: 'file', removal: 'file it is not in any more' };

function reloaded({ outcome, by, generation, error, problems = [] }) {
  const who = by ? ` (by ${by})` : '';
  if (outcome === 'applied') return ['good', `Reload applied${who}: generation ${generation ?? DASH}`];
  if (outcome !== 'refused') return ['wait', `Reload${who}: ${outcome}`];
  const why = problems.length > 0 ? count(problems.length, 'problem') : error;
  return ['bad', `Reload refused${who}: ${why ?? 'nothing has changed'}`];
}

export class Events {
  #newest = 0;

  /** Shows an event that is not there yet. */
  hear(event) {
    if (event.id !== undefined) {
      if (event.id <= this.#newest) return;
      this.#newest = event.id;
    }
    const sentence = SENTENCES[event.kind];
    const [tone, ...parts] = sentence ? sentence(event) : ['wait', `${event.kind}: ${JSON.stringify(event)}`];
    const when = event.at ?? Date.now() / 1000;
    const time = el('time', { text: clock(when), title: moment(when) });
    $('events').prepend(el('li', { data: { kind: event.kind, tone } }, time, el('span', {}, parts)));
    while ($('events').children.length > KEPT) $('events').lastChild.remove();
    $('events-hint').hidden = true;
  }

  /** Another process: its events are counted anew. */
  restart() {
    this.#newest = 0;
    this.hear({ kind: 'restarted' });
  }

  /** How the stream is: `live`, `waiting` or `absent`. */
  link(state) {
    const hints = { live: 'Nothing has happened yet.', waiting: 'The event stream is interrupted.', absent: 'This proxy has no event stream.' };
    $('events-hint').textContent = hints[state];
    $('events-hint').hidden = state === 'live' && $('events').children.length > 0;
    // Those from before are not read out.
    if (state === 'live') setTimeout(() => $('log').setAttribute('aria-live', 'polite'), 2_000);
    else $('log').setAttribute('aria-live', 'off');
  }
}

SENTENCES.restarted = () => ['warn', 'The proxy was started again'];
