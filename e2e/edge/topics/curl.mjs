// curl over every HTTP it speaks, without TLS and with: small and big messages both ways, ranges, trailers, Expect.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { BIG, sha256 } from '../lib/backend.mjs';
import { curl, fetched } from '../lib/curl.mjs';
import { Edge } from '../lib/edge.mjs';

const WAYS = [
  { way: 'HTTP/1.1', version: '1.1', scheme: 'http', flags: ['--http1.1'] },
  { way: 'HTTP/1.1, TLS 1.2', version: '1.1', scheme: 'https', flags: ['--http1.1', '--tlsv1.2', '--tls-max', '1.2'] },
  { way: 'HTTP/1.1, TLS 1.3', version: '1.1', scheme: 'https', flags: ['--http1.1', '--tlsv1.3'] },
  { way: 'HTTP/2, TLS 1.2', version: '2', scheme: 'https', flags: ['--http2', '--tlsv1.2', '--tls-max', '1.2'] },
  { way: 'HTTP/2, TLS 1.3', version: '2', scheme: 'https', flags: ['--http2', '--tlsv1.3'] },
  { way: 'HTTP/2 by prior knowledge', version: '2', scheme: 'http', flags: ['--http2-prior-knowledge'] },
];
const REQUESTS = 50;
// Longer than any transfer here: only a 100 that has arrived lets curl go on.
const ASKS = ['--header', 'Expect: 100-continue', '--expect100-timeout', '90'];

/** One way of talking to the edge. */
class Way {
  constructor(stage, edge, { version, scheme, flags }) {
    Object.assign(this, { stage, edge, version });
    this.root = edge.root(scheme);
    this.flags = [...edge.trust, ...flags];
  }

  async get(path, args = [], options = {}) {
    const transfer = await fetched([...this.flags, ...args, `${this.root}${path}`], options);
    assert.equal(transfer.info.http_version, this.version, 'the version spoken');
    return transfer;
  }

  /** What the backend saw of a request that it answers with that. */
  async seen(path, args, options) {
    const { body, info } = await this.get(path, args, options);
    assert.equal(info.response_code, 200);
    return JSON.parse(body);
  }
}

async function small(way) {
  const seen = await way.seen('/small?q=1&q=%20', ['--header', 'X-Odd: a, b', '--cookie', 'a=1; b=2']);
  assert.equal(seen.method, 'GET');
  assert.equal(seen.path, '/small?q=1&q=%20');
  assert.equal(seen.headers['x-odd'], 'a, b');
  assert.equal(seen.headers.cookie, 'a=1; b=2');
  assert.equal(`${seen.headers['x-forwarded-proto']}://${seen.headers.host}`, way.root);
  const head = await way.get('/big', ['--head']);
  assert.equal(head.info.size_download, 0, 'a HEAD has no body');
  assert.match(head.body, new RegExp(`^content-length: ${BIG}\r$`, 'im'));
}

async function ranges(way) {
  for (const [from, to] of [[0, 0], [1_000, 65_999], [BIG - 10, BIG - 1]]) {
    const hash = createHash('sha256');
    const { info } = await way.get('/big', ['--range', `${from}-${to}`], { hash });
    assert.equal(info.response_code, 206);
    assert.equal(info.size_download, to - from + 1);
    assert.equal(hash.digest('hex'), sha256(way.edge.backend.big.subarray(from, to + 1)), `octets ${from} to ${to}`);
  }
}

async function uploads(way, file) {
  const form = await way.seen('/form', ['--data', 'name=Ann&age=7']);
  assert.deepEqual([form.method, form.received], ['POST', 14]);
  assert.equal(form.sha256, sha256('name=Ann&age=7'));
  const empty = await way.seen('/empty', ['--request', 'POST', '--data', '']);
  assert.deepEqual([empty.method, empty.received], ['POST', 0]);
  // A pipe has no length that could be announced.
  const piped = await way.seen('/piped', ['--header', 'Expect:', '--upload-file', '-'], { input: 'so much' });
  assert.deepEqual([piped.received, piped.headers['content-length']], [7, undefined]);
  const put = await way.seen('/put', ['--upload-file', file]);
  assert.deepEqual([put.method, put.received, put.headers['content-length']], ['PUT', 100_000, '100000']);
}

async function granted(way, file) {
  const seen = await way.seen('/granted', [...ASKS, '--upload-file', file]);
  assert.equal(seen.headers.expect, '100-continue', 'the backend is asked');
  assert.equal(seen.received, 100_000);
}

async function refused(way) {
  // curl 7.88 does not wait for a 100 on HTTP/2, and takes the reset after an early answer that RFC 9113 §8.1 asks for
  // as an error (92), if it hears of it before it has sent its body; it may then show nothing of the answer.
  const ends = way.version === '2' ? [0, 92] : [0];
  const file = way.stage.file('body', Buffer.alloc(way.version === '2' ? 1_000 : 100_000, 'x'));
  for (const status of [413, 417]) {
    const path = `/refuse/${status}?${way.version}${Math.random()}`;
    const { info, code } = await curl([...way.flags, ...ASKS, '--upload-file', file, `${way.root}${path}`]);
    assert.ok(ends.includes(code), `curl ended with ${code}: ${info.errormsg}`);
    if (code === 0) assert.equal(info.response_code, status);
    if (way.version === '1.1') assert.equal(info.size_upload, 0, 'curl sent nothing of the body');
    const seen = await way.edge.backend.saw(path);
    assert.equal(seen.received, 0, 'no octet of the body reached the backend');
  }
}

async function big(way, file) {
  const hash = createHash('sha256');
  const { info } = await way.get('/big', [], { hash });
  assert.equal(info.size_download, BIG);
  assert.equal(hash.digest('hex'), sha256(way.edge.backend.big), 'the download');
  const seen = await way.seen('/upload', ['--upload-file', file]);
  assert.equal(seen.received, BIG);
  assert.equal(seen.sha256, sha256(way.edge.backend.big), 'the upload');
}

async function trailers(way) {
  const { body } = await way.get('/trailers', ['--header', 'TE: trailers', '--dump-header', '-']);
  const [, after] = body.split('the rest\n');
  assert.match(after, /^x-checksum: abc123\r$/m);
  assert.match(after, /^x-rows: 2\r$/m);
}

async function many(way) {
  const before = way.edge.backend.seen.length;
  const { infos } = await way.get(`/many?[1-${REQUESTS}]`, ['--output', '/dev/null']);
  assert.equal(infos.length, REQUESTS);
  assert.equal(infos.reduce((sum, info) => sum + info.num_connects, 0), 1, 'one connection');
  assert.ok(infos.every((info) => info.response_code === 200), 'all answered with 200');
  const paths = new Set(way.edge.backend.seen.slice(before).map(({ path }) => path));
  assert.equal(paths.size, REQUESTS, 'each reached the backend');
}

async function together(way) {
  const args = ['--parallel', '--parallel-max', `${REQUESTS}`, '--output', '/dev/null'];
  const { infos } = await way.get(`/together?[1-${REQUESTS}]`, args);
  assert.ok(infos.length === REQUESTS && infos.every((info) => info.response_code === 200), 'all answered with 200');
  assert.equal(infos.reduce((sum, info) => sum + info.num_connects, 0), 1, 'one connection');
}

async function oldHttp(stage, edge) {
  const url = `${edge.root('http')}/trailers`;
  const { body, info } = await fetched([...edge.trust, '--http1.0', '--dump-header', '-', url]);
  assert.match(body, /^HTTP\/1\.0 200/);
  assert.doesNotMatch(body, /transfer-encoding/i);
  assert.match(body, /\r\n\r\nsome of it\nthe rest\n$/, 'a body that ends with the connection, not in chunks');
  assert.equal(info.http_version, '1');
  const { infos } = await fetched([...edge.trust, '--http1.0', '--header', 'Connection: keep-alive',
    '--output', '/dev/null', `${edge.root('http')}/old?[1-3]`]);
  assert.equal(infos.length, 3);
  assert.ok(infos.every((answer) => answer.response_code === 200), 'all answered with 200');
}

/** @param {import('../lib/stage.mjs').Stage} stage */
export default async function check(stage) {
  const edge = await Edge.open(stage);
  const [file, whole] = [stage.file('small', Buffer.alloc(100_000, 'x')), stage.file('whole', edge.backend.big)];
  for (const kind of WAYS) {
    const way = new Way(stage, edge, kind);
    const checks = (title, run) => stage.check(`${kind.way}: ${title}`, () => run(way));
    await checks('GET and HEAD', small);
    await checks('ranges', ranges);
    await checks('POST and PUT', () => uploads(way, file));
    await checks('Expect, granted by the backend', () => granted(way, file));
    await checks('Expect, refused with 413 and 417 before the body', refused);
    await checks('100 MB down and up', () => big(way, whole));
    await checks('trailers', trailers);
    // curl 7.88 cannot use a connection by prior knowledge twice, whatever server it is. nghttp can: see nghttp.mjs.
    if (kind.flags.includes('--http2-prior-knowledge')) continue;
    await checks(`${REQUESTS} requests on one connection`, many);
    if (kind.version === '2') await checks(`${REQUESTS} at one time on one connection`, together);
  }
  await stage.check('HTTP/1.0', () => oldHttp(stage, edge));
}
