// The proxy's admin API, as far as the scenarios need it.

import { request } from './http.mjs';
import { POOL } from './toml.mjs';
import { until } from './waits.mjs';

/** The admin listener of one proxy. */
export class Admin {
  /** @param {import('./scene.mjs').Scene} scene */
  constructor(scene) {
    this.root = `http://${scene.proxy.admin}/api/pools/${POOL}/backends`;
  }

  /**
   * Waits until a backend is described like this, for instance after a reload.
   * @param {string} name
   * @param {object} wanted some of its fields
   */
  async sees(name, wanted) {
    await until(async () => {
      const { status, json } = await request(`${this.root}/${name}`);
      return status === 200 && Object.entries(wanted).every(([field, value]) => json[field] === value);
    }, `the admin API shows ${name} with ${JSON.stringify(wanted)}`);
  }

  /** Drains a backend; returns before it is drained. */
  async drain(name, timeout) {
    const answer = await request(`${this.root}/${name}/state`, { method: 'PUT', json: { state: 'drain', timeout } });
    if (answer.status >= 300) throw new Error(`draining ${name}: ${answer.status} ${answer.text.trim()}`);
  }

  /** Waits until nothing is left on a backend. */
  async drained(name) {
    const { status, text } = await request(`${this.root}/${name}/drained?wait=15s`);
    if (status !== 200) throw new Error(`${name} is not drained: ${status} ${text.trim()}`);
  }
}
