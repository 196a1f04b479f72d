// What a proxy that says anything is told to say.

import assert from 'node:assert/strict';
import { accessible } from '../lib/accessible.mjs';
import * as made from '../lib/made-up.mjs';
import { PHONE, Viewer } from '../lib/viewer.mjs';

/** @param {import('playwright-core').Browser} browser */
export function madeUp(browser) {
  const look = (mock, options) => Viewer.open(browser, mock.url, options);
  return {
    'many: 200 backends are filtered, sorted, folded, and fit a phone': (mock) => many(mock, look),
    'trouble: down, ejected, slow start, drain, and certificates': (mock) => trouble(mock, look),
    'hostile: names stay text wherever they are shown': (mock) => hostile(mock, look),
    'refused: a file that is wrong is told line by line, until it is not': (mock) => refused(mock, look),
    'plan: a reload says first what would change': (mock) => plan(mock, look),
    'lost: a proxy that does not answer is said to be lost, and found again': (mock) => lost(mock, look),
    'sparse: fields that are not there are dashes': (mock) => sparse(mock, look),
    'keyboard: a drain without a mouse, and the focus comes back': (mock) => keyboard(mock, look),
    'events: sentences, none lost when the stream breaks off': (mock) => events(mock, look),
  };
}

async function many(mock, look) {
  const failing = (index) => (index % 40 === 5 ? { health: 'down', health_reason: 'no answer within 1 s' } : {});
  const games = Array.from({ length: 200 }, (_, index) => made.backend(index, failing(index)));
  const shop = made.pool('shop', [made.backend(0, { name: 'shop-1' })], { mode: 'none' });
  mock.status = made.status([made.pool('games', games), shop]);
  const viewer = await look(mock);
  await viewer.sees('#shown', '201 backends');
  assert.equal(await viewer.page.locator('tr.backend').count(), 201);
  const { height } = await viewer.row('game-1').boundingBox();
  assert.ok(height < 36, `one line each: ${height}`);
  assert.equal(await viewer.page.locator('svg.share').first().locator('rect').count(), 200);
  await viewer.shot('many');
  await viewer.page.check('#trouble');
  await viewer.sees('#shown', '5 of 201 backends');
  await viewer.page.uncheck('#trouble');
  await viewer.page.fill('#filter', 'games GAME-19');
  await viewer.sees('#shown', '11 of 201 backends');
  await viewer.page.fill('#filter', 'nobody');
  await viewer.sees('#nothing', 'Nothing fits');
  await viewer.page.fill('#filter', '');
  await viewer.page.selectOption('#sort', 'trouble');
  await viewer.sees('tr.backend:first-child', 'down');
  await viewer.page.click('th button:text-is("Sessions")');
  await viewer.sees('th[aria-sort=descending]', 'Sessions');
  const sessions = await viewer.page.locator('[data-pool=games] td[data-key=sessions]').allTextContents();
  const numbers = sessions.map((text) => parseInt(text, 10));
  assert.deepEqual(numbers, numbers.toSorted((a, b) => b - a));
  await viewer.page.click('[data-pool=games] .toggle');
  await viewer.misses('tr[data-backend=game-1]');
  await viewer.close();
  for (const colorScheme of ['light', 'dark']) {
    const phone = await look(mock, { ...PHONE, colorScheme });
    await phone.sees('tr.backend', 'game-6');
    await phone.fits();
    await phone.shot(`many-phone-${colorScheme}`);
    await phone.close();
  }
}

const TROUBLE = (tick) => {
  const failed = { '1xx': 0, '2xx': 9, '3xx': 0, '4xx': 0, '5xx': 10 + tick * 7 };
  return made.status([made.pool('chess', [
    made.backend(0, { tick, max_sessions: 500 }),
    made.backend(1, { tick, state: 'drain', drain: { cause: 'operator', sessions: 44, connections: 12, in_flight: 13, seconds_left: 95, done: false } }),
    made.backend(2, { tick, health: 'down', health_reason: 'connect: connection refused', health_since: Date.now() / 1000 - 75 }),
    made.backend(3, { tick, outlier: true, ejected_seconds_left: 7.5, responses: failed }),
    made.backend(4, { tick, slow_start: 0.4 }),
    made.backend(5, { tick, state: 'maint' }),
  ], { rebound_total: 12, waiting: 3 })], { tick, state: { directory: '/s', saved_at: Date.now() / 1000 - 4, error: 'no space left', bytes: 1, sessions: 1 } });
};

async function trouble(mock, look) {
  for (const colorScheme of ['light', 'dark']) {
    let tick = 0;
    mock.status = TROUBLE(tick);
    const viewer = await look(mock, { colorScheme });
    await viewer.sees('tr[data-backend=game-3] .state', /down.*connect: connection refused · \d+ s/);
    await viewer.sees('tr[data-backend=game-2] .state', '44 sessions, 12 tunnels, 13 in flight; 95 s left');
    await viewer.sees('tr[data-backend=game-4] .state', 'ejected 8 s');
    await viewer.sees('tr[data-backend=game-5] .state', 'slow start 40%');
    await viewer.sees('tr[data-backend=game-6] .state', 'maint');
    await viewer.sees('.facts', '2 of 6 take new work');
    await viewer.sees('.facts', '3 of 1,000 waiting');
    await viewer.sees('.certificate[data-tone=warn]', '9 days left');
    await viewer.sees('#listeners', 'State is not saved: no space left');
    await viewer.sees('.tile', '5 / 6');
    for (; tick < 4; tick += 1) {
      mock.status = TROUBLE(tick);
      await viewer.page.waitForResponse((response) => response.url().endsWith('/api/status'));
    }
    await viewer.sees('tr[data-backend=game-4] td[data-key=errors][data-tone=bad]', /\d/);
    await viewer.sees('tr[data-backend=game-1] td[data-key=requests]', /\d/);
    await viewer.sees('tr[data-backend=game-1] td[data-key=p95]', /ms/);
    await viewer.sees('#workers', '%');
    await accessible(viewer);
    await viewer.shot(`trouble-${colorScheme}`, { fullPage: true });
    await viewer.close();
  }
}

const HOSTILE = '<img src=x onerror=alert(1)>"\'&amp;</script><script>alert(2)</script>';

async function hostile(mock, look) {
  const one = made.backend(0, { name: HOSTILE, address: HOSTILE, health: 'down', health_reason: HOSTILE, instance: HOSTILE });
  const problem = { line: 1, column: 1, key: HOSTILE, message: HOSTILE, help: HOSTILE };
  mock.status = made.status([made.pool(HOSTILE, [one])], { reload: { at: 1, outcome: 'refused', by: HOSTILE, error: HOSTILE, problems: [problem] } });
  mock.status.listeners[1].certificates[0].names = [HOSTILE];
  for (const kind of ['health', 'state', 'rebind', 'reload', HOSTILE]) {
    mock.happens({ kind: kind.replaceAll('\n', ''), pool: HOSTILE, backend: HOSTILE, from: HOSTILE, to: HOSTILE, why: HOSTILE, by: HOSTILE, state: HOSTILE, cause: HOSTILE, sessions: 1, outcome: 'refused', error: HOSTILE });
  }
  mock.explanation = { backend: HOSTILE, reason: 'placed', detail: HOSTILE, pool: HOSTILE, host: HOSTILE, key: HOSTILE, key_source: HOSTILE,
    candidates: [{ name: HOSTILE, state: HOSTILE, health: HOSTILE, eligible: false, why_not: HOSTILE, sessions: 1 }] };
  const viewer = await look(mock);
  await viewer.sees('td.name', '<img src=x onerror=');
  await viewer.sees('.events', '<img src=x onerror=');
  await viewer.page.click('#explain button');
  await viewer.sees('.verdict', '<img src=x onerror=');
  await viewer.page.locator('[data-order=maint]').click();
  await viewer.sees('dialog h2', '<img src=x onerror=');
  await viewer.confirms();
  await viewer.page.locator('dialog').waitFor({ state: 'detached' });
  const [order] = mock.orders.filter(({ method }) => method === 'PUT');
  const name = encodeURIComponent(HOSTILE);
  // The apostrophe may stand in a path as it is.
  assert.equal(decodeURIComponent(order.path), `/api/pools/${HOSTILE}/backends/${HOSTILE}/state`);
  assert.ok(order.path.includes(name) || order.path.includes(name.replaceAll("'", '%27')), order.path);
  const made_of = await viewer.page.evaluate(() => [document.images.length, document.scripts.length, document.querySelectorAll('[onerror]').length]);
  assert.deepEqual(made_of, [1, 1, 0], 'its own icon and script, and no other');
  await viewer.fits();
  await viewer.close();
}

const PROBLEMS = [
  { line: 12, column: 1, key: 'pool "chess" backend 2 wieght', message: 'unknown key', help: 'did you mean "weight"?' },
  { line: 14, column: 16, key: 'pool "chess" sticky.mode', message: '"tabel" is not one of hash, cookie, table', help: null },
];

async function refused(mock, look) {
  const fleet = [made.pool('chess', [made.backend(0)])];
  const reload = { at: Date.now() / 1000, outcome: 'refused', by: 'signal', error: 'the file is wrong', problems: PROBLEMS };
  mock.status = made.status(fleet, { reload });
  const viewer = await look(mock);
  await viewer.sees('#refused', 'the last reload was refused');
  await viewer.sees('#refused li', /line 12:1.*wieght: unknown key.*did you mean "weight"\?/);
  await viewer.sees('#refused li', /line 14:16.*tabel/);
  await viewer.shot('refused');
  await accessible(viewer);
  await viewer.page.click('#refused button');
  await viewer.misses('#refused');
  mock.status = made.status(fleet, { reload: { ...reload, at: reload.at + 5 } });
  await viewer.sees('#refused', 'refused');
  mock.status = made.status(fleet, { reload: { at: reload.at + 9, outcome: 'applied', by: 'api', error: null, problems: [] }, generation: 2 });
  await viewer.misses('#refused');
  mock.plan = [422, { error: 'the file is wrong; nothing has changed', file: 'proxy.toml', problems: PROBLEMS }];
  viewer.expected.push(/status of 422/);
  await viewer.page.click('#reload');
  await viewer.sees('dialog', 'The file has 2 problems');
  await viewer.sees('dialog li', 'did you mean "weight"?');
  await viewer.close();
}

async function plan(mock, look) {
  mock.status = made.status([made.pool('chess', [made.backend(0)])]);
  mock.plan = [200, { plan: true, changes: {
    listeners: { added: ['[::]:8444'], removed: [], changed: [] }, pools: { added: [], removed: ['old'], changed: ['chess'] },
    backends: [{ pool: 'chess', backend: 'game-7', change: 'added', fields: [], sessions: 0 }, { pool: 'chess', backend: 'game-1', change: 'changed', fields: ['weight'], sessions: 121 }],
    sessions: { total: 1044, move: 3, move_by_deadline: 44 }, new_keys: [{ pool: 'chess', moved: 0.143 }], settings: ['limits.queue'], next_start: ['server.workers'], unchanged: false,
  } }];
  const viewer = await look(mock);
  await viewer.sees('tr.backend', 'game-1');
  await viewer.page.click('#reload');
  for (const part of ['Listeners added: [::]:8444', 'Pools removed: old', '3 of 1,044 sessions would move at once, 44', 'New keys of chess: 14%', 'Other settings: limits.queue', 'Only at the next start: server.workers']) {
    await viewer.sees('dialog li', part);
  }
  await viewer.sees('dialog tr', 'changed: weight');
  await viewer.shot('plan');
  await viewer.page.click('dialog button.quiet');
  assert.deepEqual(mock.orders.map(({ planned }) => planned), [true], 'cancelled: only asked');
  await viewer.page.click('#reload');
  await viewer.confirms();
  await viewer.page.locator('dialog').waitFor({ state: 'detached' });
  assert.deepEqual(mock.orders.map(({ planned }) => planned), [true, true, false]);
  mock.plan = [200, { plan: true, changes: { unchanged: true } }];
  await viewer.page.click('#reload');
  await viewer.sees('dialog', 'The file has not changed');
  await viewer.close();
}

async function lost(mock, look) {
  mock.status = made.status([made.pool('chess', [made.backend(0)])]);
  const viewer = await look(mock);
  viewer.expected.push(/ERR_EMPTY_RESPONSE|ERR_CONNECTION|ERR_INCOMPLETE/);
  await viewer.sees('#link', 'live');
  mock.alive = false;
  await viewer.sees('#link', 'no answer');
  await viewer.sees('#lost', /The proxy does not answer\. What you see is from \d\d:\d\d:\d\d/);
  await viewer.shot('lost');
  mock.alive = true;
  await viewer.sees('#link', 'live');
  await viewer.misses('#lost');
  await viewer.close();
}

async function sparse(mock, look) {
  const bare = ({ name, address, weight, state, health, outlier, instance, sessions, max_sessions, connections, max_connections, in_flight, requests_total, retries_total, failures_total, drain }) =>
    ({ name, address, weight, state, health, outlier, instance, sessions, max_sessions, connections, max_connections, in_flight, requests_total, retries_total, failures_total, drain });
  const { pools } = made.status([made.pool('chess', [made.backend(0)])]);
  mock.status = { pools: pools.map(({ name, mode, balance, sessions, capacity, backends }) => ({ name, mode, balance, sessions, capacity, backends: backends.map(bare) })) };
  const viewer = await look(mock);
  await viewer.sees('tr.backend td[data-key=p95]', '–');
  await viewer.sees('#workers', '–');
  await viewer.sees('#listeners', '–');
  await viewer.sees('tr.backend td[data-key=requests]', '0');
  assert.ok(!/undefined|NaN|null|object/.test(await viewer.page.innerText('body')));
  await viewer.close();
}

async function keyboard(mock, look) {
  mock.status = made.status([made.pool('chess', [made.backend(0), made.backend(1)])]);
  const viewer = await look(mock);
  const { page } = viewer;
  await viewer.sees('tr.backend', 'game-2');
  const table = page.getByRole('table', { name: 'Backends of chess' });
  assert.equal(await table.getByRole('row').count(), 3, 'a head and two backends');
  assert.ok(await table.getByRole('columnheader', { name: 'Sessions' }).isVisible());
  await page.focus('#trouble');
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  for (let presses = 0; await focused() !== 'Drain game-1'; presses += 1) {
    assert.ok(presses < 30, 'the button is reached by Tab');
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await viewer.sees('dialog', 'Drain game-1?');
  await accessible(viewer);
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.equal(await focused(), 'Drain game-1', 'the focus is where it was');
  assert.deepEqual(mock.orders, [], 'nothing was ordered');
  await page.keyboard.press('Enter');
  await page.keyboard.type('90s');
  await page.keyboard.press('Enter');
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.deepEqual(mock.orders.map(({ body }) => body), [{ state: 'drain', timeout: '90s' }]);
  await viewer.sees('#said', 'game-1: drain');
  await viewer.close();
}

async function events(mock, look) {
  mock.status = made.status([made.pool('chess', [made.backend(0)])]);
  mock.happens({ kind: 'health', pool: 'chess', backend: 'game-1', from: 'suspect', to: 'down', why: 'connection refused' });
  const viewer = await look(mock);
  viewer.expected.push(/ERR_EMPTY_RESPONSE|ERR_CONNECTION|ERR_INCOMPLETE/);
  await viewer.sees('#events li', 'game-1 (chess) is down, was suspect: connection refused');
  mock.happens({ kind: 'rebind', pool: 'chess', from: 'game-1', to: 'game-2', cause: 'down', sessions: 12 });
  await viewer.sees('#events li:first-child', '12 sessions of chess moved from game-1 to game-2 (down)');
  mock.breakOff();
  mock.happens({ kind: 'ejected', pool: 'chess', backend: 'game-2', seconds: 10 });
  await viewer.sees('#events li:first-child', 'game-2 (chess) is ejected for 10 s');
  mock.happens({ kind: 'stopping' });
  await viewer.sees('#events li:first-child', 'The proxy is stopping');
  assert.equal(await viewer.page.locator('#events li').count(), 4, 'each once');
  await viewer.page.waitForFunction(() => document.getElementById('log').getAttribute('aria-live') === 'polite');
  await viewer.close();
}
