// Other programs: those that run to their end and those that stay.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { within } from './waits.mjs';

const RUN = 120_000;

const alive = new Set();
process.on('exit', () => alive.forEach((child) => child.kill('SIGKILL')));

/** Starts a program that never outlives this one. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  alive.add(child);
  child.once('close', () => alive.delete(child));
  child.once('error', () => alive.delete(child));
  return child;
}

/** Kills it unless it has ended, and waits until it has. */
export async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'close');
  child.kill('SIGKILL');
  await within(ended, 'a program ends');
}

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {object} [options] of `spawn`; and `hash`: not to keep the output, but to give it to this; `input`: a text
 * @returns {Promise<{code: number, stdout: string, stderr: string}>}
 */
export async function finish(command, args, { hash, input, ...options } = {}) {
  const child = start(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [out, err] = [[], []];
  child.stdout.on('data', (data) => (hash ? hash.update(data) : out.push(data)));
  child.stderr.on('data', (data) => err.push(data));
  try {
    const [code] = await within(once(child, 'close'), `${command} ${args.at(-1)} ends`, RUN);
    return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
  } finally {
    child.kill('SIGKILL');
  }
}

/** Runs a program that must end well, and returns what it said. */
export async function succeed(command, args, options) {
  const { code, stdout, stderr } = await finish(command, args, options);
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr.trim().split('\n').at(-1)}`);
  return stdout;
}
