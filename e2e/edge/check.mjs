// Real clients at the edge of the proxy: curl, nghttp and h2load, Python's websockets and grpcio, Chromium.
//
//   npm ci
//   HOMING_BIN=../../target/debug/homing node check.mjs           (this is also the default)
//   node check.mjs tls chromium                                   (only these topics)
//   TRACE=1 node check.mjs curl                                   (with the stack of what failed)
//
// Needs curl, nghttp2-client, openssl, Chromium (CHROMIUM, default /usr/bin/chromium) and Python 3 with venv. The
// Python packages come from requirements.txt into .venv, which this makes.
//
// One line per check: `ok`, or `FAILED` and what differed. Exits with 1 if any failed.

import { Stage } from './lib/stage.mjs';
import chromium from './topics/chromium.mjs';
import curl from './topics/curl.mjs';
import events from './topics/events.mjs';
import grpc from './topics/grpc.mjs';
import nghttp from './topics/nghttp.mjs';
import proxyHeader from './topics/proxy-header.mjs';
import tls from './topics/tls.mjs';
import websockets from './topics/websockets.mjs';

const TOPICS = { curl, tls, 'proxy-header': proxyHeader, nghttp, events, websockets, chromium, grpc };

/** Runs one topic to its end; false if something was not as it should be. */
async function run(name) {
  const stage = new Stage(name);
  await stage.check('everything is set up and runs to the end', () => TOPICS[name](stage), 'quiet');
  await stage.close();
  return stage.good;
}

async function main(names) {
  const unknown = names.filter((name) => !(name in TOPICS));
  if (unknown.length > 0) throw new Error(`no ${unknown}; there are ${Object.keys(TOPICS).join(', ')}`);
  let good = true;
  for (const name of names.length > 0 ? names : Object.keys(TOPICS)) good = await run(name) && good;
  return good ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
