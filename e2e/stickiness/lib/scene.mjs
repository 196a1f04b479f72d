// What a scenario runs in: its backends, the proxy before them, and what is to be cleared away afterwards.

import { Backend, Proxy } from './processes.mjs';

/**
 * @typedef {object} Scenario
 * @property {string} name `GROUP/WAY`
 * @property {string} server a file of servers/
 * @property {object} sticky the keys of [pool.sticky]
 * @property {object} [setting] other tables of the file, and `admin: true` for an admin listener
 * @property {() => Promise<void>} [prepare] what must be there first, and is not part of what is checked
 * @property {(scene: Scene) => Promise<void>} run rejects with Broken where the application breaks
 */

/** One run of a scenario, with stickiness or without. */
export class Scene {
  #after = [];

  /**
   * @param {Scenario} scenario
   * @param {Backend[]} backends
   * @param {object | null} sticky
   */
  static async open(scenario, backends, sticky) {
    const scene = new Scene();
    // Backends are used by several scenes, one after the other: what has a name of its own begins with this.
    scene.prefix = scenario.name.replace('/', '-') + (sticky ? '' : '-in-turns');
    scene.server = scenario.server;
    scene.setting = { ...scenario.setting, sticky };
    scene.backends = [...backends];
    // Without stickiness the application breaks before anything is changed or drained.
    if (!sticky) Object.assign(scene.setting, { admin: undefined, drain: undefined });
    scene.proxy = await Proxy.start({ ...scene.setting, backends });
    scene.url = `http://${scene.proxy.listen}`;
    return scene;
  }

  /** The names of the backends. */
  get names() {
    return this.backends.map(({ name }) => name);
  }

  /** Does this when the run is over, however it went. */
  defer(cleanup) {
    this.#after.push(cleanup);
  }

  /** One more backend, which the proxy does not know yet. */
  async addBackend(name) {
    const backend = await Backend.start(this.server, name);
    this.defer(() => backend.stop());
    this.backends.push(backend);
  }

  /** Rewrites the file with all backends, those in `weights` with another weight, and has it read. */
  reconfigure(weights = {}) {
    const backends = this.backends.map(({ name, address }) => ({ name, address, weight: weights[name] ?? 1 }));
    this.proxy.write({ ...this.setting, backends });
    this.proxy.reload();
  }

  /** Says so unless every backend is the home of something: one for all would be sticky too. */
  spread(homes) {
    const used = new Set(homes);
    const missing = this.names.filter((name) => !used.has(name));
    if (missing.length > 0) throw new Error(`nothing was placed on ${missing}: ${homes.length} on ${[...used]}`);
  }

  async close() {
    await Promise.all(this.#after.splice(0).map((cleanup) => cleanup()));
    await this.proxy.stop();
  }
}
