// nghttp and h2load: HTTP/2 by another library, and much of it.

import assert from 'node:assert/strict';
import { Edge } from '../lib/edge.mjs';
import { succeed } from '../lib/processes.mjs';

const LOAD = 5_000;
const MANY = 100;

async function load(url) {
  const said = await succeed('h2load', ['-n', `${LOAD}`, '-c', '20', '-m', '20', url]);
  assert.match(said, new RegExp(`requests: ${LOAD} total, ${LOAD} started, ${LOAD} done, ${LOAD} succeeded, 0 failed, ` +
    '0 errored, 0 timeout'));
  assert.match(said, new RegExp(`status codes: ${LOAD} 2xx, 0 3xx, 0 4xx, 0 5xx`));
  assert.match(said, /Application protocol: h2c?$/m);
}

/** @param {import('../lib/stage.mjs').Stage} stage */
export default async function check(stage) {
  const edge = await Edge.open(stage);
  // nghttp does not look names up anywhere else than the system does.
  const ways = [['TLS', `https://127.0.0.1:${edge.tls}`], ['no TLS', `http://127.0.0.1:${edge.plain}`]];
  for (const [way, root] of ways) {
    await stage.check(`nghttp, ${way}: ${MANY} requests on one connection`, async () => {
      const before = edge.backend.seen.length;
      const said = await succeed('nghttp', ['--null-out', '--stat', `--multiply=${MANY}`, `${root}/many`]);
      assert.equal(said.match(/^\s*\d+\s.*\s200\s.*\/many$/gm)?.length, MANY, 'all answered with 200');
      assert.equal(edge.backend.seen.length - before, MANY);
    });
    await stage.check(`nghttp, ${way}: trailers come back`, async () => {
      const said = await succeed('nghttp', ['--verbose', '--null-out', '--header', 'te: trailers', `${root}/trailers`]);
      const [, after] = said.split(/recv DATA frame[^]*?recv HEADERS frame/);
      assert.match(said, /x-checksum: abc123/);
      assert.match(said, /x-rows: 2/);
      assert.ok(after?.includes('END_STREAM'), 'the trailers end the stream');
    });
    await stage.check(`nghttp, ${way}: an upload with trailers`, async () => {
      const data = stage.file('data', Buffer.alloc(1_000_000, 'y'));
      const args = ['--null-out', '--no-content-length', `--data=${data}`, '--trailer', 'x-sum: 7', `${root}/upload`];
      await succeed('nghttp', args);
      const seen = await edge.backend.saw('/upload');
      assert.deepEqual([seen.method, seen.received], ['POST', 1_000_000]);
      assert.equal(seen.trailers['x-sum'], '7');
    });
    await stage.check(`h2load, ${way}: ${LOAD} requests, 20 connections of 20 streams`, () => load(`${root}/load`));
  }
}
