// TLS as curl sees it: which certificate is shown to whom, client certificates, certificates renewed while it runs.

import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Backend } from '../lib/backend.mjs';
import { Authority } from '../lib/certificates.mjs';
import { curl, fetched } from '../lib/curl.mjs';
import { poolOf, resolve } from '../lib/edge.mjs';
import { freePort } from '../lib/ports.mjs';
import { SERVER } from '../lib/proxy.mjs';
import { until } from '../lib/waits.mjs';

// How soon a new certificate is shown, in milliseconds. The files are looked at once a second.
const RENEWAL = 3_000;
const HEADER = 'x-client-cert-subject';
const FORGED = ['--header', 'X-Client-Cert-Subject: CN=root'];

class Listeners {
  static async open(stage) {
    const listeners = new Listeners(stage);
    listeners.backend = await Backend.start(stage);
    const [authority, clients, strangers] = await Promise.all(['authority', 'clients', 'strangers'].map((name) =>
      Authority.make(stage, name)));
    Object.assign(listeners, { authority, clients, strangers });
    await authority.sign('site', { names: ['site.test'] });
    await authority.sign('games', { names: ['games.test'] });
    await authority.sign('wild', { names: ['*.wild.test'] });
    const tls = ['site', 'games', 'wild'].map((name) => `{ cert = "${name}.pem", key = "${name}.key" }`);
    [listeners.plain, listeners.open, listeners.closed] = await Promise.all([freePort(), freePort(), freePort()]);
    listeners.proxy = await stage.proxy(`${SERVER}
[[listener]]
address = "127.0.0.1:${listeners.plain}"
[[listener]]
address = "127.0.0.1:${listeners.open}"
tls = [${tls}]
[[listener]]
address = "127.0.0.1:${listeners.closed}"
tls = [{ cert = "site.pem", key = "site.key" }]
client_ca = "clients.pem"
${poolOf([listeners.backend])}`);
    return listeners;
  }

  constructor(stage) {
    this.stage = stage;
  }

  /** curl's arguments for a name on one of the listeners. */
  to(name, port, path = '/') {
    return ['--cacert', this.authority.cert, ...resolve(name, port), `https://${name}:${port}${path}`];
  }

  /** The subject and serial number of the certificate shown to who asks for this name. */
  async shown(name, args = []) {
    const { info } = await fetched([...args, ...this.to(name, this.open)]);
    const [, subject] = /^Subject:CN = (.*)$/m.exec(info.certs);
    const [, serial] = /^Serial Number:(.*)$/m.exec(info.certs);
    return { subject, serial };
  }
}

async function names(listeners) {
  for (const [name, subject] of [['site.test', 'site'], ['games.test', 'games'], ['a.wild.test', 'wild'],
    ['GAMES.test', 'games']]) {
    assert.equal((await listeners.shown(name)).subject, subject, name);
  }
}

async function others(listeners) {
  for (const name of ['other.test', 'a.b.wild.test', 'wild.test']) {
    const { code } = await curl(listeners.to(name, listeners.open));
    assert.equal(code, 60, `curl trusts nothing for ${name}`);
    assert.equal((await listeners.shown(name, ['--insecure'])).subject, 'site', `${name} gets the first`);
  }
}

async function accepted(listeners) {
  const { cert, key } = await listeners.clients.sign('ada', { subject: '/O=Example/CN=ada' });
  for (const version of ['--http1.1', '--http2']) {
    const args = [version, '--cert', cert, '--key', key, ...FORGED, ...listeners.to('site.test', listeners.closed)];
    const { body } = await fetched(args);
    assert.equal(JSON.parse(body).headers[HEADER], 'O=Example, CN=ada', version);
  }
}

async function turnedAway(listeners) {
  const { cert, key } = await listeners.strangers.sign('eve', { subject: '/CN=ada' });
  const before = listeners.backend.seen.length;
  for (const credentials of [[], ['--cert', cert, '--key', key]]) {
    for (const version of ['1.2', '1.3']) {
      const args = [`--tlsv${version}`, '--tls-max', version, ...credentials];
      const { code } = await curl([...args, ...listeners.to('site.test', listeners.closed)]);
      assert.ok([35, 55, 56, 98].includes(code), `TLS ${version}, ${credentials.length} options: curl ended with ${code}`);
    }
  }
  assert.equal(listeners.backend.seen.length, before, 'nothing reached the backend');
}

async function forged(listeners) {
  const plain = [...FORGED, `http://127.0.0.1:${listeners.plain}/`];
  const tls = [...FORGED, ...listeners.to('site.test', listeners.open)];
  for (const args of [plain, tls, ['--http2', ...tls]]) {
    const { body } = await fetched(args);
    assert.equal(JSON.parse(body).headers[HEADER], undefined);
  }
}

/** Replaces a certificate and its key as tools do that renew them. */
function replace(stage, { cert, key }) {
  renameSync(key, stage.path('games.key'));
  renameSync(cert, stage.path('games.pem'));
}

async function renewed(listeners) {
  const before = await listeners.shown('games.test');
  const other = await listeners.shown('site.test');
  replace(listeners.stage, await listeners.authority.sign('fresh', { subject: '/CN=games', names: ['games.test'] }));
  await until(async () => (await listeners.shown('games.test')).serial !== before.serial, 'a new serial number', RENEWAL);
  assert.equal((await listeners.shown('site.test')).serial, other.serial, 'the other one is as it was');
}

async function broken(listeners) {
  const file = listeners.stage.path('games.pem');
  const [before, good] = [await listeners.shown('games.test'), readFileSync(file)];
  const lines = listeners.proxy.said.length;
  writeFileSync(`${file}.new`, good.subarray(0, good.length / 2));
  renameSync(`${file}.new`, file);
  const complains = ({ level, target }) => ['WARN', 'ERROR'].includes(level) && target.startsWith('homing');
  await until(() => listeners.proxy.said.slice(lines).some(complains), 'the log says what is wrong with the file');
  assert.equal((await listeners.shown('games.test')).serial, before.serial, 'the former certificate is still shown');
  replace(listeners.stage, await listeners.authority.sign('again', { subject: '/CN=games', names: ['games.test'] }));
  await until(async () => (await listeners.shown('games.test')).serial !== before.serial, 'a new serial number', RENEWAL);
}

async function plainTo(listeners) {
  const { info } = await fetched([`http://127.0.0.1:${listeners.open}/`]);
  assert.equal(info.response_code, 400);
}

/** @param {import('../lib/stage.mjs').Stage} stage */
export default async function check(stage) {
  const listeners = await Listeners.open(stage);
  const checks = (title, run) => stage.check(title, () => run(listeners));
  await checks('each name has its certificate, also by a wildcard', names);
  await checks('other names get the first, and curl refuses it', others);
  await checks('a client certificate is accepted, and its subject told to the backend', accepted);
  await checks('without a client certificate, or with a foreign one, nobody gets in', turnedAway);
  await checks('nobody can claim to have a client certificate', forged);
  await checks('a renewed certificate is shown within 3 s', renewed);
  await checks('a broken file changes nothing, and the next good one does', broken);
  await checks('who speaks without TLS gets a 400', plainTo);
}
