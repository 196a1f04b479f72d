// Logins in express-session's memory: a new id at each login, kept and new connections, logout and login again.

import { Jar } from '../lib/jar.mjs';
import { SESSION, User } from '../lib/user.mjs';
import { intact, sideBySide } from '../lib/waits.mjs';

const USERS = 30;
const COUNTS = 12;

async function shops(scene, name) {
  const user = new User(scene, name);
  await user.visit(1);
  const { home } = user;
  await user.visit(2);
  const anonymous = new Jar().set(SESSION, user.jar.get(SESSION));
  await user.login();
  for (let n = 0; n < COUNTS; n += 1) await user.counts({ anew: n % 3 === 2 });
  await sideBySide(4, () => user.looks({ anew: true }));
  intact(user.home === home, `${name}: from ${home} to ${user.home}`);

  await user.send('GET', '/', { jar: anonymous });
  intact(user.home === home, `${name}: the id before the login leads to ${user.home} instead of ${home}`);

  await user.logout();
  await user.login();
  for (let n = 0; n < 3; n += 1) await user.counts();
  return home;
}

async function run(scene) {
  const homes = await sideBySide(USERS, (n) => shops(scene, `user-${n}`));
  scene.spread(homes);
}

/** @type {import('../lib/scene.mjs').Scenario[]} */
export default [
  { name: 'express/key', sticky: { mode: 'table', key: [`cookie:${SESSION}`] } },
  { name: 'express/preset', sticky: { preset: 'express' } },
].map((scenario) => ({ ...scenario, server: 'express.mjs', run }));
