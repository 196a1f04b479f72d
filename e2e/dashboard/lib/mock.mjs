// An admin listener that says whatever a check wants: for states that are hard to bring about. The page's files come
// from a real one, with all their headers.

import { once } from 'node:events';
import { createServer } from 'node:http';

const OF_A_HOP = ['connection', 'keep-alive', 'transfer-encoding'];

export class Mock {
  /** What it was asked to change: `{ method, path, body, planned }` each. */
  orders = [];
  /** Its answer to each call; a check replaces what it is about. */
  status = {};
  explanation = {};
  /** `[status, body]` to a reload, and to a question for its plan. */
  reload = [200, { reloaded: true, generation: 2 }];
  plan = [200, { plan: true, changes: { unchanged: true } }];
  token = null;
  /** False: it accepts connections and drops them. */
  alive = true;
  #events = [];
  #followers = new Set();

  /** @param {string} files the address of a real admin listener */
  static async start(files) {
    const mock = new Mock(files);
    mock.server.listen(0, '127.0.0.1');
    await once(mock.server, 'listening');
    mock.url = `http://127.0.0.1:${mock.server.address().port}/`;
    return mock;
  }

  constructor(files) {
    this.files = files;
    this.server = createServer((request, response) => this.#answer(request, response).catch(() => response.destroy()));
  }

  /** Tells all who follow, and those who come later. */
  happens(event) {
    const entry = { id: this.#events.length + 1, at: Date.now() / 1000, ...event };
    this.#events.push(entry);
    for (const follower of this.#followers) follower.write(written(entry));
  }

  /** Ends the streams of all who follow. */
  breakOff() {
    this.#followers.forEach((follower) => follower.destroy());
    this.#followers.clear();
  }

  async #answer(request, response) {
    if (!this.alive) return request.destroy();
    const { pathname, searchParams } = new URL(request.url, this.url);
    if (pathname === '/' || pathname.startsWith('/dashboard/')) return this.#file(pathname, response);
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) {
      return say(response, 401, { error: 'show the token: Authorization: Bearer …' });
    }
    if (pathname === '/api/events') return this.#follow(request, response);
    if (request.method === 'GET') return say(response, 200, this.status);
    const { method } = request;
    let text = '';
    for await (const piece of request) text += piece;
    const body = text ? JSON.parse(text) : null;
    const planned = searchParams.get('plan') === 'true';
    this.orders.push({ method, path: pathname, body, planned });
    if (pathname === '/api/explain') return say(response, 200, this.explanation);
    if (pathname === '/api/reload') return say(response, ...(planned ? this.plan : this.reload));
    return say(response, 200, {});
  }

  async #file(path, response) {
    const { status, headers, body } = await fetch(new URL(path, this.files));
    response.writeHead(status, [...headers].filter(([name]) => !OF_A_HOP.includes(name)).flat());
    for await (const piece of body) response.write(piece);
    return response.end();
  }

  #follow(request, response) {
    const after = Number(request.headers['last-event-id'] ?? 0);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(':\n\n');
    for (const entry of this.#events.filter(({ id }) => id > after)) response.write(written(entry));
    this.#followers.add(response);
    response.on('close', () => this.#followers.delete(response));
  }

  async stop() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }
}

const written = (entry) => `id: ${entry.id}\nevent: ${entry.kind}\ndata: ${JSON.stringify(entry)}\n\n`;

function say(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
