// The dashboard: asks for the status, follows the events, and hands both to the parts that show them.

import { api, token } from './api.js';
import { $, el, render, say } from './dom.js';
import { Events } from './events.js';
import { offerExplain } from './explain.js';
import { Fleet } from './fleet.js';
import { clock, duration, synchronise } from './format.js';
import { Machine } from './machine.js';
import { orders } from './orders.js';
import { offerReload } from './plan.js';
import { Poll } from './poll.js';
import { Banner } from './problems.js';
import { Rates } from './rates.js';
import { Stream } from './stream.js';
import { Summary } from './summary.js';
import { askForToken, offerToForget } from './token.js';

const [poll, stream, rates] = [new Poll(), new Stream(), new Rates()];
const [fleet, summary, events, machine, banner] = [new Fleet(), new Summary(), new Events(), new Machine(), new Banner()];
let started = null;

function hear(status) {
  synchronise(status);
  rates.add(status, performance.now());
  fleet.hear(status, rates);
  summary.hear(status, rates, fleet.all);
  machine.hear(status, rates);
  banner.hear(status.reload);
  showAbout(status);
  $('lost').hidden = true;
  document.body.classList.remove('stale');
  showLink('good', 'live');
  if (started !== null && status.started_at !== undefined && status.started_at !== started) {
    events.restart();
    stream.restart();
  }
  started = status.started_at ?? null;
}

function showAbout({ version, uptime_seconds: uptime, generation }) {
  const facts = [version && `v${version.replace(/^v/, '')}`, uptime !== undefined && `up ${duration(uptime)}`, generation !== undefined && `generation ${generation}`];
  say($('about'), facts.filter(Boolean).join(' · '));
}

function showLink(tone, text) {
  $('link').dataset.tone = tone;
  say($('link'), text);
}

function lost({ since, next, error }) {
  document.body.classList.toggle('stale', since !== null);
  showLink('bad', 'no answer');
  const age = since === null ? '' : ` What you see is from ${clock(since / 1000)}.`;
  const text = `${error.message}${age}`;
  render($('lost'), text, () => [el('p', { text }), el('button', { type: 'button', class: 'quiet', text: 'Try now', onclick: () => poll.now() })]);
  $('lost').hidden = false;
  $('lost').title = `The next try is in ${duration(next / 1000)}.`;
}

poll.addEventListener('status', ({ detail }) => hear(detail));
poll.addEventListener('lost', ({ detail }) => lost(detail));
orders.addEventListener('done', () => poll.now());
stream.addEventListener('state', ({ detail }) => events.link(detail));
stream.addEventListener('event', ({ detail }) => {
  events.hear(detail);
  poll.now();
});
api.addEventListener('locked', () => {
  showLink('wait', 'locked');
  askForToken(() => {
    poll.resume();
    stream.restart();
  });
});

offerReload(() => poll.now());
offerExplain();
offerToForget();
poll.start();
stream.start();
if (token.get() === null) $('forget').hidden = true;
