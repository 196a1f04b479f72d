// The configuration file of a scenario: one listener, one route, one pool named POOL.

/** The name of the only pool. */
export const POOL = 'app';

/**
 * @typedef {object} Setting
 * @property {string} listen the listener's address
 * @property {string} [admin] the admin listener's address
 * @property {{name: string, address: string, weight?: number}[]} backends
 * @property {object | null} sticky the keys of [pool.sticky]; null: not sticky, in turns
 * @property {object} [health] the keys of [pool.health]
 * @property {object} [drain] the keys of [pool.drain]
 */

/**
 * The text of the file.
 * @param {Setting} setting
 */
export function toml({ listen, admin, backends, sticky, health, drain }) {
  const pool = sticky ? { name: POOL } : { name: POOL, balance: 'round_robin' };
  return [
    table('[server]', { workers: 2, shutdown_timeout: '1s' }),
    table('[log]', { access: false }),
    admin && table('[admin]', { address: admin }),
    table('[[listener]]', { address: listen }),
    table('[[route]]', { pool: POOL }),
    table('[[pool]]', pool),
    ...backends.map(({ name, address, weight = 1 }) => table('[[pool.backend]]', { name, address, weight })),
    sticky && table('[pool.sticky]', sticky),
    health && table('[pool.health]', health),
    drain && table('[pool.drain]', drain),
  ].filter(Boolean).join('\n');
}

// Strings, numbers and lists of strings look the same in JSON and TOML.
function table(head, entries) {
  const lines = Object.entries(entries).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  return `${head}\n${lines.join('')}`;
}
