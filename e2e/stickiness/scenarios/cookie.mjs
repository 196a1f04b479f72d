// What a plain client sees of `mode = "cookie"`, and what the backend does not see of it.

import { WebSocket } from 'ws';
import { request } from '../lib/http.mjs';
import { Jar, pairs } from '../lib/jar.mjs';
import { POOL } from '../lib/toml.mjs';
import { intact, sideBySide, within } from '../lib/waits.mjs';

const COOKIE = `homing_${POOL}`;
const CLIENTS = 30;

const issued = ({ headers }) => (headers['set-cookie'] ?? []).filter((line) => line.startsWith(`${COOKIE}=`));
const directives = (field = '') => field.toLowerCase().split(',').map((part) => part.trim());

function demand(condition, what) {
  if (!condition) throw new Error(what);
}

/** The backend that answered, and that it saw nothing of the proxy's cookie. */
function home({ at, headers }) {
  const arrived = [...pairs(headers.cookie).keys()];
  demand(!arrived.includes(COOKIE), `the backend saw ${COOKIE}: ${headers.cookie}`);
  return at;
}

/** Opens a WebSocket, and returns the head of the 101 and the backend's first message. */
async function upgrade(scene, jar) {
  const socket = new WebSocket(scene.url.replace('http', 'ws'), { headers: jar.header ? { cookie: jar.header } : {} });
  scene.defer(() => socket.terminate());
  const seen = new Promise((resolve, reject) => {
    let head;
    socket.on('upgrade', (response) => { head = response; });
    socket.on('message', (text) => resolve({ headers: head.headers, json: JSON.parse(text) }));
    socket.on('error', reject);
  });
  const answer = await within(seen, 'a WebSocket is answered');
  jar.store(answer.headers['set-cookie']);
  return answer;
}

function checkAttributes(line, where) {
  const attributes = new Map([...pairs(line)].slice(1).map(([name, value]) => [name.toLowerCase(), value]));
  demand(attributes.has('httponly'), `${where}: no HttpOnly in ${line}`);
  demand(attributes.get('samesite')?.toLowerCase() === 'lax', `${where}: no SameSite=Lax in ${line}`);
  demand(attributes.get('path') === '/', `${where}: no Path=/ in ${line}`);
  demand(!attributes.has('secure'), `${where}: Secure, on a listener without TLS, in ${line}`);
}

async function firstAnswer(scene) {
  const jar = new Jar();
  const first = await request(scene.url, { jar });
  intact(issued(first).length === 1, `the first answer sets ${issued(first).length} cookies named ${COOKIE}`);
  checkAttributes(issued(first)[0], 'the first answer');
  const caching = first.headers['cache-control'];
  demand(directives(caching).includes('private'), `the first answer has Cache-Control: ${caching}`);

  const second = await request(scene.url, { jar });
  demand(issued(second).length === 0, `the second answer sets a cookie again: ${issued(second)}`);
  const after = second.headers['cache-control'];
  demand(after === undefined, `the second answer sets no cookie, and has Cache-Control: ${after}`);
}

/** What shared caches may keep gets no cookie, since they would give it to everybody; the next answer sets it. */
async function publicAnswer(scene) {
  const jar = new Jar();
  const first = await request(`${scene.url}/public`, { jar });
  demand(issued(first).length === 0, `a public answer sets a cookie: ${issued(first)}`);
  demand(first.headers['cache-control'] === 'public, max-age=60', `changed: ${first.headers['cache-control']}`);
  const second = await request(scene.url, { jar });
  demand(issued(second).length === 1, 'the first answer that no cache may keep sets no cookie');
}

async function othersCookies(scene) {
  const jar = new Jar().set('before', '1');
  const first = await request(`${scene.url}/own-cookies`, { jar });
  const own = first.headers['set-cookie'].filter((line) => !line.startsWith(COOKIE));
  demand(own.join('|') === 'one=1; Path=/|two=2; HttpOnly', `the application's own cookies: ${own}`);
  jar.set('after', '1');
  const second = await request(scene.url, { jar });
  home(second.json);
  const arrived = [...pairs(second.json.headers.cookie).keys()].sort().join(' ');
  demand(arrived === 'after before one two', `of the client's cookies, these arrived: ${arrived}`);
}

async function staysOverHttpAndWebSocket(scene, webSocketFirst) {
  const jar = new Jar();
  const first = webSocketFirst ? await upgrade(scene, jar) : await request(scene.url, { jar });
  const where = webSocketFirst ? 'the 101' : 'the first answer';
  intact(issued(first).length === 1, `${where} sets ${issued(first).length} cookies named ${COOKIE}`);
  checkAttributes(issued(first)[0], where);
  const at = home(first.json);
  for (let n = 0; n < 3; n += 1) {
    for (const next of [await request(scene.url, { jar }), await upgrade(scene, jar)]) {
      intact(home(next.json) === at, `from ${at} to ${next.json.at}`);
      demand(issued(next).length === 0, `a cookie that holds is set again: ${issued(next)}`);
    }
  }
  return at;
}

/** Nobody chooses a backend by writing a cookie: it is ignored, and a good one issued. */
async function forged(scene) {
  const jar = new Jar();
  await request(scene.url, { jar });
  const good = jar.get(COOKIE);
  const middle = Math.floor(good.length / 2);
  const turned = good.slice(0, middle) + (good[middle] === 'A' ? 'B' : 'A') + good.slice(middle + 1);
  for (const value of [turned, good.slice(0, -4), `${good}AAAA`, 'anna', '', 'A'.repeat(3000), '%00', '"quoted"']) {
    const what = `with a forged cookie of ${value.length} octets (${value.slice(0, 12)})`;
    const answer = await request(scene.url, { headers: { cookie: `${COOKIE}=${value}` } });
    demand(answer.status === 200, `${answer.status} ${what}`);
    home(answer.json);
    demand(issued(answer).length === 1, `no new cookie ${what}`);
  }
}

async function run(scene) {
  await firstAnswer(scene);
  await publicAnswer(scene);
  await othersCookies(scene);
  await forged(scene);
  const homes = await sideBySide(CLIENTS, (n) => staysOverHttpAndWebSocket(scene, n % 2 === 0));
  scene.spread(homes);
}

/** @type {import('../lib/scene.mjs').Scenario[]} */
export default [{ name: 'cookie', server: 'echo.mjs', sticky: { mode: 'cookie' }, run }];
