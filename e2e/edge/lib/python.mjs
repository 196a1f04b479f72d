// Clients and servers in Python, in a virtual environment with requirements.txt.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { end, finish, start, succeed } from './processes.mjs';
import { within } from './waits.mjs';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const PYTHON = here('.venv/bin/python');

/** Makes the virtual environment unless it is there, with these very requirements. */
async function prepare() {
  const [stamp, wanted] = [here('.venv/requirements.txt'), readFileSync(here('requirements.txt'), 'utf8')];
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  rmSync(here('.venv'), { recursive: true, force: true });
  await succeed('python3', ['-m', 'venv', here('.venv')]);
  await succeed(PYTHON, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:',
    '--requirement', here('requirements.txt')]);
  writeFileSync(stamp, wanted);
}

/**
 * Runs a client of python/, whose every line is a check: `ok TITLE`, or `FAILED TITLE: WHY`.
 * @param {import('./stage.mjs').Stage} stage
 * @param {string} file
 * @param {string[]} args
 */
export async function client(stage, file, args) {
  await prepare();
  const { code, stdout, stderr } = await finish(PYTHON, ['-u', here(`python/${file}`), ...args]);
  const lines = stdout.trim().split('\n').filter(Boolean);
  for (const line of lines) {
    const [, verdict, title, why] = /^(ok|FAILED) +([^:]*):? ?(.*)$/.exec(line) ?? [];
    stage.tells(title ?? line, verdict === 'ok' ? null : why ?? 'is no verdict');
  }
  if (code !== 0 || lines.length === 0) throw new Error(`${file} ended with ${code}: ${stderr.trim().split('\n').at(-1)}`);
}

/** What a program of python/ says, which must end well. */
export function output(file, args) {
  return succeed(PYTHON, ['-u', here(`python/${file}`), ...args]);
}

/** A server of python/ that takes orders, one a line, and answers each with a line. */
export class Server {
  /**
   * Starts it; its first line is its address.
   * @param {import('./stage.mjs').Stage} stage
   * @param {string} file
   * @param {string[]} args
   */
  static async start(stage, file, args) {
    await prepare();
    const server = new Server(file, start(PYTHON, ['-u', here(`python/${file}`), ...args], { stdio: ['pipe', 'pipe', 'inherit'] }));
    stage.defer(() => server.stop());
    server.address = await server.says('its address');
    return server;
  }

  constructor(file, child) {
    this.file = file;
    this.child = child;
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async says(what) {
    const { value, done } = await within(this.lines.next(), `${this.file} says ${what}`);
    if (done) throw new Error(`${this.file} ended instead of saying ${what}`);
    return value;
  }

  /** Gives an order and returns the answer. */
  order(text) {
    this.child.stdin.write(`${text}\n`);
    return this.says(`something to ${text}`);
  }

  /** Kills it. */
  stop() {
    return end(this.child);
  }
}
