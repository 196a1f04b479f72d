// Clients. Each has a room of its own, and knows what the answer to each request has to be.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { filled, fresh } from './markers.mjs';

// Longer than everything that is allowed to take long: what takes longer hangs.
const HANGS = 30_000;
const SIZES = [0, 100, 5_000, 200_000];
const UPLOAD = 100_000;
const SLOW = 2_000_000;

let rooms = 0;

const some = (list) => list[Math.floor(Math.random() * list.length)];
const breath = () => pause(5 + Math.random() * 25);

/** Something lost, not wrong. */
class Lost extends Error {}

/** One client; subclasses say how a request is made. */
class Client {
  constructor(kind, { port, tally, load }) {
    rooms += 1;
    Object.assign(this, { kind, port, tally, load, room: `r${rooms}`, home: null, life: null, count: 0 });
    this.counts = tally.of(kind);
  }

  async run() {
    while (this.load.on) {
      await this.turn();
      await breath();
    }
    this.close();
  }

  close() {}

  /** One request and its answer. */
  async turn() {
    const from = performance.now();
    try {
      await this.asks(fresh());
      this.counts.answered += 1;
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      this.tally.loses(this.kind, error.message, { home: this.home, from, to: performance.now() });
    }
  }

  async asks(marker) {
    const size = some(SIZES);
    const body = Math.random() < 0.2 ? randomBytes(UPLOAD) : null;
    const answer = await this.fetches(`/room/${this.room}?marker=${encodeURIComponent(marker)}&size=${size}`, body);
    this.judges(answer, { marker, size, body });
  }

  judges({ status, headers, text }, { marker, size, body }) {
    if (status >= 500) throw new Lost(`status ${status}`);
    const wrong = (what) => this.tally.fault(`${this.kind}: ${what}, in room ${this.room} of ${headers['x-life']}`);
    if (status !== 200) return wrong(`status ${status}`);
    if (headers['x-marker'] !== marker) return wrong(`the head has the marker ${headers['x-marker']} instead of ${marker}`);
    if (text !== filled(marker, size)) return wrong(`the body of ${text.length} octets is not of ${marker}`);
    const sha256 = createHash('sha256').update(body ?? '').digest('hex');
    if (headers['x-sha256'] !== sha256) return wrong('the upload arrived as something else');
    return this.lives(headers['x-life'], Number(headers['x-count']));
  }

  /** The room is where it was, with its memory, unless its backend had to go. */
  lives(life, count) {
    const same = life === this.life;
    if (same && count !== undefined && count <= this.count) this.tally.fault(`${this.kind}: counted ${count} after ${this.count}`);
    if (this.life && !same) {
      this.counts.moved += 1;
      if (!this.load.fleet.departed(this.home, performance.now())) {
        this.tally.fault(`${this.kind}: ${this.room} moved from ${this.life} to ${life} without a reason`);
      }
    }
    Object.assign(this, { life, home: life.split('/')[0], count: count ?? 0 });
  }
}

/** HTTP/1.1, on one kept connection or on a new one each time. */
export class Http1 extends Client {
  constructor(kind, setting) {
    super(kind, setting);
    this.agent = kind === 'HTTP/1.1, kept' ? new http.Agent({ keepAlive: true, maxSockets: 1 }) : false;
  }

  fetches(path, body) {
    return new Promise((resolve, reject) => {
      const options = { port: this.port, host: '127.0.0.1', path, agent: this.agent, method: body ? 'POST' : 'GET', timeout: HANGS };
      const request = http.request(options, async (response) => {
        try {
          const parts = [];
          for await (const part of response) {
            parts.push(part);
            await this.reads();
          }
          resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() });
        } catch (error) {
          reject(new Lost(`broken off: ${error.code}`));
        }
      });
      request.on('timeout', () => request.destroy(new Error(`nothing for ${HANGS} ms`)));
      request.on('error', (error) => reject(new Lost(error.code ?? error.message)));
      request.end(body);
    });
  }

  /** Between two pieces of a body. */
  async reads() {}

  close() {
    if (this.agent) this.agent.destroy();
  }
}

/** Reads large answers with pauses. */
export class Slow extends Http1 {
  async asks(marker) {
    const answer = await this.fetches(`/room/${this.room}?marker=${encodeURIComponent(marker)}&size=${SLOW}`, null);
    this.judges(answer, { marker, size: SLOW, body: null });
  }

  reads() {
    return pause(20);
  }
}

/** Asks for much and leaves midway. */
export class Rude extends Client {
  async turn() {
    const path = `/room/${this.room}?marker=x&size=${SLOW}`;
    const request = http.request({ port: this.port, host: '127.0.0.1', path, agent: false });
    request.on('error', () => {});
    request.end();
    await pause(Math.random() * 30);
    request.destroy();
    this.counts['given up'] += 1;
    await breath();
  }
}

/** A connection of HTTP/2 that several clients share, made anew when it is gone. */
export class Shared {
  constructor(port) {
    this.port = port;
  }

  session() {
    if (this.current && !this.current.closed && !this.current.destroyed) return this.current;
    this.current = http2.connect(`http://127.0.0.1:${this.port}`);
    this.current.on('error', () => {});
    this.current.setMaxListeners(0);
    return this.current;
  }

  close() {
    this.current?.close();
  }
}

/** One of the clients of a shared connection. */
export class Http2 extends Client {
  constructor(kind, setting) {
    super(kind, setting);
    this.shared = setting.shared;
  }

  async fetches(path, body) {
    const stream = this.shared.session().request({ ':path': path, ':method': body ? 'POST' : 'GET' });
    const late = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), HANGS);
    try {
      stream.end(body ?? undefined);
      const [headers] = await once(stream, 'response');
      const parts = [];
      for await (const part of stream) parts.push(part);
      if (stream.rstCode !== 0) throw new Error(`reset with ${stream.rstCode}`);
      return { status: headers[':status'], headers, text: Buffer.concat(parts).toString() };
    } catch (error) {
      throw new Lost(error.code ?? error.message);
    } finally {
      clearTimeout(late);
    }
  }
}

/** A WebSocket that lasts, until its backend goes. */
export class Socket extends Client {
  async run() {
    while (this.load.on) {
      const from = performance.now();
      try {
        await this.converses();
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        this.tally.loses(this.kind, error.message, { home: this.home, from, to: performance.now() });
        await breath();
      }
    }
  }

  async converses() {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}/room/${this.room}`, { handshakeTimeout: HANGS });
    const heard = [];
    let wake = () => {};
    const ended = new Promise((resolve) => {
      socket.on('close', (code) => resolve(`closed with ${code}`));
      socket.on('error', (error) => resolve(error.message));
    });
    socket.on('message', (data) => { heard.push(`${data}`); wake(); });
    const late = () => pause(HANGS, `nothing for ${HANGS} ms`, { ref: false });
    const hears = async () => {
      while (heard.length === 0) {
        const why = await Promise.race([new Promise((resolve) => { wake = () => resolve(null); }), ended, late()]);
        if (why) return { why };
      }
      return { message: heard.shift() };
    };
    try {
      const { message: life, why } = await hears();
      if (why) throw new Lost(why);
      this.lives(life, undefined);
      await this.exchanges(socket, hears);
    } finally {
      socket.terminate();
    }
  }

  async exchanges(socket, hears) {
    while (this.load.on) {
      const marker = filled(fresh(), some(SIZES));
      socket.send(marker);
      const { message, why } = await hears();
      // The proxy says 1012 to who lives on a backend that has to go.
      if (why === 'closed with 1012' && this.load.fleet.departed(this.home, performance.now())) return;
      if (why) throw new Lost(why);
      if (message !== marker) return this.tally.fault(`${this.kind}: an echo of ${message.length} octets is not of ${marker.slice(0, 20)}`);
      this.counts.answered += 1;
      await breath();
    }
    socket.close(1000);
    return undefined;
  }
}
