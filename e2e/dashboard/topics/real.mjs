// A proxy that runs, with games going on: what the page shows is so, and what it orders happens.

import assert from 'node:assert/strict';
import { accessible } from '../lib/accessible.mjs';
import { Fleet } from '../lib/fleet.mjs';
import { PHONE, Viewer } from '../lib/viewer.mjs';

const TOKEN = 'correct-horse-battery';

/** @param {import('playwright-core').Browser} browser */
export function real(browser) {
  const inFleet = (run, options) => async () => {
    const fleet = await Fleet.start(options);
    try {
      await run(fleet, (more) => Viewer.open(browser, fleet.url, more));
    } finally {
      await fleet.stop();
    }
  };
  return {
    'fleet: what is there is shown, wide and on a phone, light and dark': inFleet(shows),
    'drain: confirmed it happens, cancelled it does not; ready and maint': inFleet(orders),
    'explain: a room is explained as traffic finds it': inFleet(explains),
    'down: a backend that goes away is told with its reason, and its return': inFleet(goesDown),
    'reload: a file that is wrong changes nothing, and says why; a good one counts': inFleet(reloads),
    'restart: the page finds its proxy again': inFleet(restarts),
    'token: asked for, kept in the tab, and forgotten': inFleet(asksForToken, { token: TOKEN }),
  };
}

async function shows(fleet, look) {
  await fleet.fill(2);
  const viewer = await look();
  for (const { name } of fleet.backends) {
    const games = fleet.players.filter(({ home }) => home === name).length;
    await viewer.sees(`tr[data-backend=${name}] .state`, 'up');
    await viewer.sees(`tr[data-backend=${name}] td[data-key=sessions]`, new RegExp(`^${games} \\d+%$`));
    await viewer.sees(`tr[data-backend=${name}] td[data-key=connections]`, new RegExp(`^${games}$`));
    await viewer.sees(`tr[data-backend=${name}] td[data-key=requests]`, /^[\d.]*[1-9]/);
    await viewer.sees(`tr[data-backend=${name}] td[data-key=p95]`, /ms$/);
  }
  await viewer.sees('.tile', '3 / 3');
  await viewer.sees('#about', /^v\d+\.\d+\.\d+ · up \d+ s · generation 1$/);
  await viewer.sees('.tile', /Connections\d/);
  await viewer.sees('#workers', /\d%/);
  await viewer.sees('#listeners', fleet.listen);
  const wide = await viewer.page.locator('svg.share rect').evaluateAll((parts) => parts.map((part) => part.width.baseVal.value));
  assert.ok(wide.length === 3 && wide.every((part) => part > 0) && Math.abs(wide.reduce((sum, part) => sum + part) - 1000) < 1, `${wide}`);
  await accessible(viewer);
  await viewer.shot('fleet-light', { fullPage: true });
  await viewer.close();
  for (const colorScheme of ['light', 'dark']) {
    const phone = await look({ ...PHONE, colorScheme });
    await phone.sees('tr.backend', 'cleo');
    await phone.fits();
    await accessible(phone);
    const paper = await phone.page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
    assert.equal(paper[0] > 128, colorScheme === 'light', `${colorScheme}: ${paper}`);
    await phone.shot(`fleet-phone-${colorScheme}`);
    await phone.close();
  }
}

async function orders(fleet, look) {
  await fleet.fill(2);
  const viewer = await look();
  const sessions = fleet.players.filter(({ home }) => home === 'anna').length;
  await viewer.sees('tr[data-backend=anna] td[data-key=sessions]', `${sessions} `);
  await viewer.orders('anna', 'drain');
  await viewer.sees('dialog li', `${sessions} sessions stay here`);
  await viewer.sees('dialog li', `${sessions} open tunnels`);
  await viewer.page.click('dialog button.quiet');
  assert.equal((await fleet.status('anna')).state, 'ready', 'cancelled');
  await viewer.orders('anna', 'drain');
  await viewer.page.fill('dialog [name=timeout]', 'soon');
  viewer.expected.push(/status of 400/);
  await viewer.confirms();
  await viewer.sees('dialog [role=alert]', 'timeout');
  await viewer.page.fill('dialog [name=timeout]', '9m');
  await viewer.confirms();
  await fleet.is('anna', { state: 'drain' });
  await viewer.sees('tr[data-backend=anna] .drain', /sessions, \d+ tunnels.*(8 min|9 min).* left/);
  await viewer.sees('.tile', '1 not ready');
  await viewer.shot('draining');
  await viewer.orders('anna', 'ready');
  await viewer.sees('dialog li', 'The drain under way is called off');
  await viewer.confirms();
  await fleet.is('anna', { state: 'ready' });
  await viewer.row('anna').locator('.drain').waitFor({ state: 'detached' });
  await viewer.orders('anna', 'maint');
  await viewer.sees('dialog li', `${sessions} sessions move to other backends`);
  await viewer.confirms();
  await fleet.is('anna', { state: 'maint', connections: 0 });
  const codes = await Promise.all(fleet.players.filter(({ home }) => home === 'anna').map(({ closed }) => closed));
  assert.deepEqual([...new Set(codes)], [1012], 'as the dialog said');
  await viewer.sees('#events', 'anna (chess) is to go into maintenance, says the operator');
  await viewer.close();
}

async function explains(fleet, look) {
  const { home } = await fleet.play('berlin');
  const viewer = await look();
  await viewer.page.fill('#explain [name=url]', '/game/berlin');
  await viewer.page.fill('#explain [name=headers]', 'Host: chess.example.com\nX-A: 1\nx-a: 2');
  await viewer.page.fill('#explain [name=client_ip]', '192.0.2.7');
  await viewer.page.click('#explain button');
  await viewer.sees('.verdict', `${home} bound`);
  await viewer.sees('#answer dl', 'berlin from path:/game/{room}');
  assert.equal(await viewer.page.locator('#answer tbody tr').count(), 3);
  await viewer.page.fill('#explain [name=headers]', 'nonsense');
  await viewer.page.click('#explain button');
  await viewer.sees('#answer .error', '“nonsense” is not “Name: value”.');
  await viewer.close();
}

async function goesDown(fleet, look) {
  await fleet.fill(1);
  const viewer = await look();
  await viewer.sees('#link', 'live');
  await fleet.backend('bert').down();
  await viewer.sees('tr[data-backend=bert] .state', 'down');
  await viewer.sees('tr[data-backend=bert] .why', /refused/);
  await viewer.sees('#events li', /bert \(chess\) is down, was \w+: .*refused/);
  await viewer.sees('.tile', '2 / 3');
  assert.match(await viewer.page.title(), /1 backend not up/);
  await viewer.page.check('#trouble');
  await viewer.sees('#shown', '1 of 3 backends');
  await fleet.backend('bert').up();
  await viewer.sees('#events li', 'bert (chess) is up');
  await viewer.sees('#nothing', 'Nothing fits');
  await viewer.close();
}

async function reloads(fleet, look) {
  const viewer = await look();
  await viewer.sees('tr.backend', 'cleo');
  fleet.write((text) => text.replace('rise = 1', 'rise = 1\nriese = 2').replace('mode = "table"', 'mode = "tabel"'));
  viewer.expected.push(/status of 422/);
  await viewer.page.click('#reload');
  await viewer.sees('dialog', 'The file has 2 problems');
  await viewer.sees('dialog li', 'riese');
  await viewer.page.click('dialog button.quiet');
  fleet.child.kill('SIGHUP');
  await viewer.sees('#refused', 'the last reload was refused');
  await viewer.sees('#refused li', /line \d+.*riese.*unknown key/);
  await viewer.sees('#events li', /Reload refused \(by signal\): 2 problems/);
  await viewer.shot('refused-real', { fullPage: true });
  fleet.write((text) => text.replace('name = "bert"', 'name = "bert"\nweight = 3'));
  await viewer.page.click('#reload');
  await viewer.sees('dialog', 'Reload this file?');
  await viewer.sees('dialog tr', /chess\/bert.*weight/);
  await viewer.confirms();
  await viewer.misses('#refused');
  await fleet.is('bert', { weight: 3 });
  await viewer.sees('tr[data-backend=bert]', 'weight 3');
  await viewer.close();
}

async function restarts(fleet, look) {
  const viewer = await look();
  viewer.expected.push(/ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE/);
  await viewer.sees('#link', 'live');
  await fleet.halt();
  await viewer.sees('#link', 'no answer');
  await viewer.sees('#lost', 'The proxy does not answer');
  await fleet.run();
  await viewer.sees('#link', 'live');
  await viewer.sees('#events', 'The proxy was started again');
  await fleet.backend('bert').down();
  await viewer.sees('#events', 'bert (chess) is down');
  await viewer.close();
}

async function asksForToken(fleet, look) {
  const viewer = await look();
  const { page } = viewer;
  viewer.expected.push(/status of 401/);
  await viewer.sees('dialog', 'This proxy asks for a token');
  await accessible(viewer);
  await page.fill('dialog input', 'wrong');
  await viewer.confirms();
  await viewer.sees('dialog', 'The proxy does not take this token');
  assert.equal(await page.locator('tr.backend').count(), 0);
  await viewer.shot('token');
  await page.fill('dialog input', TOKEN);
  await viewer.confirms();
  await viewer.sees('tr.backend', 'cleo');
  await viewer.orders('bert', 'drain');
  await viewer.confirms();
  await fleet.is('bert', { state: 'drain' });
  await viewer.sees('#events', 'bert (chess) is to drain');
  await page.reload();
  await viewer.sees('tr.backend', 'cleo');
  const kept = await page.evaluate(() => [Object.values(sessionStorage), localStorage.length, document.cookie, location.href]);
  assert.deepEqual(kept, [[TOKEN], 0, '', fleet.url]);
  await page.click('#forget');
  await viewer.sees('dialog', 'This proxy asks for a token');
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.keyboard.press('Escape');
  await viewer.sees('#lost', 'Without the token there is nothing to see');
  await viewer.close();
}
