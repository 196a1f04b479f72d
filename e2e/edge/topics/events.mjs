// Server-sent events: each arrives when it is sent, and who leaves is missed at once.

import assert from 'node:assert/strict';
import { Edge } from '../lib/edge.mjs';
import { end, start } from '../lib/processes.mjs';
import { until } from '../lib/waits.mjs';

const WAYS = [
  ['HTTP/1.1', 'http', '--http1.1'],
  ['HTTP/1.1 with TLS', 'https', '--http1.1'],
  ['HTTP/2 with TLS', 'https', '--http2'],
  ['HTTP/2 by prior knowledge', 'http', '--http2-prior-knowledge'],
];
// How soon the backend knows that its client has left, in milliseconds.
const FAREWELL = 1_000;

/** @param {import('../lib/stage.mjs').Stage} stage */
export default async function check(stage) {
  const edge = await Edge.open(stage);
  for (const [way, scheme, version] of WAYS) {
    await stage.check(way, async () => {
      const path = `/events?${scheme}${version}`;
      const args = ['--silent', '--no-buffer', version, ...edge.trust, `${edge.root(scheme)}${path}`];
      const client = start('curl', args);
      let heard = '';
      client.stdout.on('data', (data) => { heard += data; });
      try {
        // Nothing more is sent before it has arrived: what is held back would stay away.
        await until(() => heard === 'data: first\n\n', 'the first event arrives');
        const stream = edge.backend.streams.at(-1);
        for (const event of ['second', 'third']) {
          stream.write(`data: ${event}\n\n`);
          await until(() => heard.endsWith(`data: ${event}\n\n`), `the ${event} event arrives`);
        }
      } finally {
        await end(client);
      }
      const seen = await edge.backend.saw(path);
      await until(() => seen.left, 'the backend knows that the client has left', FAREWELL);
      assert.equal((await edge.proxy.accessOf('/events')).status, 200);
    });
  }
}
