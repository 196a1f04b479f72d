// The same socket.io servers with a client of another make, which keeps no cookies: client.py.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Broken } from '../lib/waits.mjs';

const PREPARATION = 60_000;
const RUN = 30_000;
const BROKEN = 3;

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const execute = promisify(execFile);

/** Makes the virtual environment unless it is there, with these very requirements. */
async function prepare() {
  const [stamp, wanted] = [here('.venv/requirements.txt'), readFileSync(here('requirements.txt'), 'utf8')];
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  rmSync(here('.venv'), { recursive: true, force: true });
  await execute('python3', ['-m', 'venv', here('.venv')], { timeout: PREPARATION });
  const install = ['install', '--quiet', '--disable-pip-version-check', '--requirement', here('requirements.txt')];
  await execute(here('.venv/bin/pip'), install, { timeout: PREPARATION });
  writeFileSync(stamp, wanted);
}

async function run(scene) {
  const abort = new AbortController();
  scene.defer(() => abort.abort());
  try {
    await execute(here('.venv/bin/python'), [here('client.py'), scene.url], { timeout: RUN, signal: abort.signal });
  } catch ({ code, stdout, stderr, message }) {
    if (code === BROKEN) throw new Broken(stdout.trim());
    throw new Error(`client.py: ${stderr?.trim().split('\n').at(-1) || message}`);
  }
}

/** @type {import('../lib/scene.mjs').Scenario[]} */
export default [{
  name: 'python/sid',
  server: 'socketio.mjs',
  sticky: { mode: 'table', key: ['query:sid'], learn: ['body:/sid'] },
  prepare,
  run,
}];
