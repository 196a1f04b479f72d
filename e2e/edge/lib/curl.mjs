// curl, and what it says about its transfers.

import { finish } from './processes.mjs';

/**
 * @typedef {object} Transfer
 * @property {number} code curl's exit code
 * @property {string} body
 * @property {any} [info] what `--write-out '%{json}'` says of the last transfer
 * @property {any[]} infos of all of them
 */

/**
 * Runs curl.
 * @param {string[]} args
 * @param {{hash?: import('node:crypto').Hash, input?: string}} [options]
 * @returns {Promise<Transfer>}
 */
export async function curl(args, options) {
  const always = ['--silent', '--show-error', '--max-time', '100', '--write-out', '%{stderr}%{json}\\n'];
  const { code, stdout, stderr } = await finish('curl', [...always, ...args], options);
  // With --parallel the progress is shown even if it is not wanted, in front of the first report.
  const infos = [...stderr.matchAll(/\{"certs":.*\}$/gm)].map(([report]) => JSON.parse(report));
  return { code, body: stdout, infos, info: infos.at(-1) };
}

/** The same, which must end well. */
export async function fetched(args, options) {
  const transfer = await curl(args, options);
  if (transfer.code !== 0) throw new Error(`curl ended with ${transfer.code}: ${transfer.info?.errormsg}`);
  return transfer;
}
