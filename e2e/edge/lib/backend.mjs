// A backend of HTTP/1.1 that remembers what reached it.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { listen } from './ports.mjs';
import { until } from './waits.mjs';

/** The size of the big file, in octets. */
export const BIG = 100_000_000;

/**
 * @typedef {object} Seen a request as it reached the backend
 * @property {string} method
 * @property {string} path with the query
 * @property {Record<string, string>} headers
 * @property {Record<string, string>} trailers once the body is read
 * @property {number} received octets of the body until now
 * @property {string} [sha256] of the body once it is read
 * @property {boolean} left whether the other side closed before the response's end
 */

/** One backend; what it answers is chosen by the path. */
export class Backend {
  /** @type {Seen[]} */
  seen = [];
  /** The responses of /events that have not ended. */
  streams = [];
  #big;

  /** @param {import('./stage.mjs').Stage} stage */
  static async start(stage, name = 'anna') {
    const backend = new Backend(name);
    backend.address = `127.0.0.1:${await listen(backend.server)}`;
    stage.defer(() => backend.stop());
    return backend;
  }

  constructor(name) {
    this.name = name;
    this.server = createServer((request, response) => this.#answers(request, response));
    this.server.on('checkContinue', (request, response) => this.#answers(request, response));
  }

  /** The big file: random octets that are the same as long as this backend lives. */
  get big() {
    this.#big ??= randomBytes(BIG);
    return this.#big;
  }

  /** The last request with this path, once it is there. */
  async saw(path) {
    return until(() => this.seen.findLast((seen) => seen.path === path), `a request for ${path} reaches ${this.name}`);
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #answers(request, response) {
    const { method, url, headers } = request;
    const seen = { method, path: url, headers, received: 0, trailers: {}, left: false };
    this.seen.push(seen);
    response.setHeader('x-backend', this.name);
    response.on('close', () => { seen.left = !response.writableFinished; });
    const [, what, detail] = url.split(/[/?]/);
    if (what === 'refuse') return this.#refuses(request, response, seen, Number(detail));
    if (headers.expect) response.writeContinue();
    await read(request, seen);
    if (what === 'big') return this.#sends(request, response);
    if (what === 'trailers') return trails(response);
    if (what === 'events') return this.#streams(response);
    return response.setHeader('content-type', 'application/json').end(`${JSON.stringify(seen)}\n`);
  }

  // As servers do that look at the head first: what was announced is not read, and the connection ends.
  #refuses(request, response, seen, status) {
    if (!request.headers.expect) {
      return read(request, seen).then(() => response.end('taken without asking\n'));
    }
    request.on('data', (data) => { seen.received += data.length; });
    return response.writeHead(status, { connection: 'close' }).end('no\n');
  }

  #sends(request, response) {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const body = from === undefined ? this.big : this.big.subarray(Number(from), Number(to) + 1);
    if (from !== undefined) {
      response.statusCode = 206;
      response.setHeader('content-range', `bytes ${from}-${to}/${BIG}`);
    }
    response.setHeader('accept-ranges', 'bytes').setHeader('content-length', body.length);
    response.end(body);
  }

  #streams(response) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    response.write('data: first\n\n');
    this.streams.push(response);
  }
}

async function read(request, seen) {
  const hash = createHash('sha256');
  request.on('data', (data) => {
    seen.received += data.length;
    hash.update(data);
  });
  await once(request, 'end');
  Object.assign(seen, { sha256: hash.digest('hex'), trailers: request.trailers });
}

function trails(response) {
  response.writeHead(200, { trailer: 'x-checksum, x-rows' });
  response.write('some of it\n');
  response.addTrailers({ 'x-checksum': 'abc123', 'x-rows': '2' });
  response.end('the rest\n');
}

/** The sha256 of some octets, as `Seen` has it. */
export function sha256(data) {
  return createHash('sha256').update(data).digest('hex');
}
