// Somebody who shops at servers/express.mjs: a browser with its jar, its kept connection, and new ones.

import { Agent } from 'node:http';
import { request } from './http.mjs';
import { Jar } from './jar.mjs';
import { Broken, intact } from './waits.mjs';

/** The cookie of express-session. */
export const SESSION = 'connect.sid';

/** One user. */
export class User {
  jar = new Jar();
  count = 0;
  #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /**
   * @param {import('./scene.mjs').Scene} scene
   * @param {string} name
   */
  constructor(scene, name) {
    this.scene = scene;
    this.name = name;
    scene.defer(() => this.#agent.destroy());
  }

  /**
   * Sends a request; the answer's backend becomes this user's home.
   * @param {string} method
   * @param {string} path
   * @param {{json?: any, anew?: boolean, jar?: Jar}} [options] anew: on a connection of its own
   */
  async send(method, path, { json, anew, jar = this.jar } = {}) {
    const agent = anew ? false : this.#agent;
    const answer = await request(this.scene.url + path, { method, json, jar, agent });
    this.home = answer.headers['x-backend'];
    if (answer.status >= 500) throw new Error(`${this.name}: ${answer.status} ${answer.text.trim()}`);
    return answer;
  }

  async visit(expected) {
    const { json } = await this.send('GET', '/');
    intact(json.visits === expected, `${this.name}: visit ${json.visits} instead of ${expected} on ${this.home}`);
  }

  /** Signs in; express-session then issues a new id. */
  async login() {
    const before = this.jar.get(SESSION);
    await this.send('POST', '/login', { json: { user: this.name } });
    const now = this.jar.get(SESSION);
    if (!now || now === before) throw new Error(`${this.name}: the login gave no new id`);
    this.count = 0;
  }

  /** Counts one further, and says so if the session does not. */
  async counts(options) {
    const { status, json } = await this.send('POST', '/count', options);
    this.count += 1;
    if (status === 401) throw new Broken(`${this.name}: signed out at request ${this.count}, by ${this.home}`);
    intact(json.user === this.name && json.count === this.count,
      `${this.name}: ${json.user} has ${json.count} instead of ${this.count} on ${this.home}`);
  }

  /** Looks at the counter without changing it. */
  async looks(options) {
    const { status, json } = await this.send('GET', '/me', options);
    intact(status === 200 && json.count === this.count, `${this.name}: ${status}, ${json.count} of ${this.count}`);
  }

  async logout() {
    const { status } = await this.send('POST', '/logout');
    intact(status === 200, `${this.name}: ${status} at the logout`);
    if (this.jar.get(SESSION)) throw new Error(`${this.name}: the logout left the cookie`);
    const after = await this.send('GET', '/me');
    if (after.status !== 401) throw new Error(`${this.name}: ${after.status} after the logout`);
  }
}
