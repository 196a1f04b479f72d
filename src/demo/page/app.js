// The demo's page: one room, as this window sees it.

import { Chat } from './chat.js';
import { $, badge, colourOf, el, render, withBadges } from './dom.js';
import { count, describeSplit, Fleet, splitOf, toast } from './fleet.js';
import { Game } from './game.js';
import { call } from './net.js';
import { Visits } from './visits.js';

const LINKS = { open: 'connected', dialling: 'connecting…', waiting: 'lost, trying again…' };

const asName = (text) => text.toLowerCase().replace(/[^a-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 32);

const room = asName(new URLSearchParams(location.search).get('room') ?? '') || 'berlin';
const url = new URL(`/?room=${room}`, location.href);
history.replaceState(null, '', url);

const fleet = new Fleet(room);
const game = new Game(room);
const chat = new Chat(room);
new Visits();

$('room').value = room;
$('second').href = url;

function showCommands() {
  const { origin } = location;
  const { admin } = fleet;
  const lines = [
    `curl -i ${origin}/login -d user=Ann`,
    `curl -X PUT -d Hi ${origin}/cache/note`,
    `curl ${origin}/cache/note`,
    `curl ${origin}/api/whoami`,
  ];
  if (admin) {
    const state = `http://${admin}/api/pools/app/backends/ada/state`;
    const content = "-H 'content-type: application/json'";
    lines.push(`curl http://${admin}/api/status`, `curl -X PUT ${content} -d '{"state":"drain"}' ${state}`);
  }
  // A long address may be broken behind a slash.
  const pieces = (line) => line.split(/(?<=\/)(?=\w)/).flatMap((piece) => [piece, el('wbr')]);
  render($('commands'), admin ?? null, () => lines.flatMap((line) => [...pieces(line), '\n']));
}

showCommands();
$('room-form').onsubmit = (event) => {
  event.preventDefault();
  const wanted = asName($('room').value);
  if (wanted && wanted !== room) location.search = `?room=${wanted}`;
};
$('room').onchange = () => $('room-form').requestSubmit();
$('copy').onclick = async () => {
  try {
    await navigator.clipboard.writeText(url.href);
    toast('note', 'Link copied. Open it in another window and play.');
  } catch {
    toast('note', url.href);
  }
};

/** The plate above the board: which backend serves this room. */
function showPlate() {
  const backend = game.backend;
  $('plate').dataset.colour = colourOf(backend);
  document.querySelector('.play').dataset.colour = colourOf(backend);
  const watching = game.you === 'spectator' ? el('small', { text: ' You are watching.' }) : null;
  const text = backend ? ['Served by ', badge(backend), watching] : ['Looking for your room…'];
  render($('served'), [backend, colourOf(backend), game.you], () => text);
}

function showLink({ detail: link }) {
  $('link').textContent = LINKS[link];
  $('link').className = `link ${link}`;
  $('board').classList.toggle('offline', link === 'waiting');
  showPlate();
  showSplit();
  if (link === 'open') askWhy();
}

function showSplit() {
  const mine = game.backend;
  const split = splitOf({ homes: fleet.homes, mine, chat: chat.backend });
  const alarm = $('split');
  alarm.hidden = !split;
  document.body.classList.toggle('torn', Boolean(split));
  if (!split) return render(alarm, null, () => []);
  render(alarm, [split, mine, game.you, fleet.sticky], () => [
    el('p', { class: 'alarm-title' }, ...describeSplit(split, mine, game.you)),
    split.kind === 'game' ? el('p', { class: 'boards' }, ...boards(split)) : null,
    fleet.sticky
      ? el('button', { text: 'Reconnect', onclick: reconnect })
      : el('span', { class: 'buttons' },
        el('button', { text: 'Turn stickiness on', onclick: () => fleet.switchTo(true) }),
        el('button', { class: 'quiet', text: 'Roll the dice again', onclick: reconnect })),
  ]);
}

/** Each backend's own truth about the same game. */
function boards({ here, elsewhere }) {
  const all = [here, ...elsewhere].filter(Boolean);
  return all.map(({ backend, members, plies }) =>
    el('span', { class: 'truth' }, badge(backend), ` ${count(plies, 'move')}, ${count(members, 'person', 'people')}`));
}

function reconnect() {
  game.redial(1 + Math.random() * 300);
  chat.redial(1 + Math.random() * 300);
}

const REASONS = {
  bound: 'bound',
  placed: 'placed by hash',
  balanced: 'balanced',
  rebound: 'bound anew',
  learned: 'learned',
  unavailable: 'unavailable',
};

let asked = 0;

/** Asks the proxy where it would send this room now, and why. */
async function askWhy() {
  const turn = ++asked;
  const { ok, body } = await call(`/demo/explain?path=/game/${room}`);
  if (turn !== asked) return;
  if (!ok) return setTimeout(() => turn === asked && askWhy(), 1_000);
  const facts = [
    ['pool', body.pool],
    ['reason', REASONS[body.reason] ?? body.reason],
    ['key', body.key_source],
  ];
  $('why-text').replaceChildren(...withBadges(body.detail));
  $('why-facts').replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) =>
    el('span', {}, `${name} `, el('code', { text: value }))));
}

game.addEventListener('link', showLink);
game.addEventListener('state', () => { showPlate(); showSplit(); });
game.addEventListener('refused', ({ detail }) => toast('error', `Refused: ${detail}.`));
chat.addEventListener('state', showSplit);
fleet.addEventListener('state', () => { showPlate(); showSplit(); showCommands(); });
// The sockets that are open stay where they are: to see what the switch does, they must be made again.
fleet.addEventListener('switched', () => { reconnect(); askWhy(); });
