// curl, and what it says about its transfers.

import { finish } from './processes.mjs';

/**
 * @typedef {object} Transfer
 * @property {number} code curl's exit code
 * @property {string} body
 * @property {string} head the dumped heads and trailers
 * @property {any} info what `--write-out '%{json}'` says of the last transfer
 * @property {any[]} infos of all of them
 */

/**
 * Runs curl. The heads and the report go to files in the stage's directory.
 * @param {import('./stage.mjs').Stage} stage
 * @param {string[]} args
 * @param {{hash?: import('node:crypto').Hash, input?: string}} [options]
 * @returns {Promise<Transfer>}
 */
export async function curl(stage, args, options) {
  const always = ['--silent', '--show-error', '--max-time', '100', '--write-out', '%{stderr}%{json}\\n'];
  const { code, stdout, stderr } = await finish('curl', [...always, ...args], options);
  const lines = stderr.split('\n');
  const infos = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  return { code, body: stdout, infos, info: infos.at(-1), stderr };
}

/** The same, which must end well. */
export async function fetched(stage, args, options) {
  const transfer = await curl(stage, args, options);
  if (transfer.code !== 0) throw new Error(`curl ended with ${transfer.code}: ${transfer.info?.errormsg}`);
  return transfer;
}
