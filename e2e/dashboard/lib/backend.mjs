// A backend that says its name, over HTTP and as the first message of a WebSocket, and can go and come back.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

export class Backend {
  #server = null; #port = 0;
  /** How slow its answers are, in milliseconds: from one to the other. */
  delay = [0, 4];

  static async start(name) {
    const backend = new Backend(name);
    await backend.up();
    return backend;
  }

  constructor(name) {
    this.name = name;
  }

  get address() {
    return `127.0.0.1:${this.#port}`;
  }

  /** Listens, at the port of before. */
  async up() {
    const server = createServer((request, response) => {
      const [least, most] = request.url === '/healthz' ? [0, 0] : this.delay;
      setTimeout(() => response.end(this.name), least + Math.random() * (most - least));
    });
    server.keepAliveTimeout = 60_000;
    new WebSocketServer({ server }).on('connection', (socket) => {
      socket.on('error', () => {});
      socket.send(this.name);
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = server.address().port;
    this.sockets = new Set();
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.#server = server;
  }

  /** Closes its sockets, all of them. */
  async down() {
    if (!this.#server) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.sockets.forEach((socket) => socket.destroy());
    this.#server = null;
    await closed;
  }
}
