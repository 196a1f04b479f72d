// The arithmetic behind the numbers, without a browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

/** A module of the page that imports no other. */
function module(name) {
  const text = readFileSync(new URL(`../../../src/admin/dashboard/${name}`, import.meta.url));
  return import(`data:text/javascript;base64,${text.toString('base64')}`);
}

export const pure = {
  'rates: differences over ten seconds, anew where a counter begins anew': rates,
  'percentiles: by the place within a bucket': percentiles,
  'numbers: as people read them': numbers,
};

const status = (requests, more = {}) => ({
  started_at: 1, latency_bounds_ms: [10, 100],
  pools: [{ name: 'p', backends: [{ name: 'b', requests_total: requests, failures_total: 0, responses: { '5xx': requests / 10 }, latency_counts: [requests, 0, 0], ...more }] }],
});

async function rates() {
  const { Rates } = await module('rates.js');
  const seen = new Rates();
  seen.add(status(100), 0);
  assert.equal(seen.backend('p', 'b').requests, null, 'one look is none');
  seen.add(status(150), 1_000);
  assert.equal(seen.backend('p', 'b').requests, 50);
  assert.deepEqual(seen.backend('p', 'b').counts, [50, 0, 0]);
  assert.equal(seen.backend('p', 'b').errors, 5);
  for (let second = 2; second <= 30; second += 1) seen.add(status(150 + second), second * 1_000);
  assert.equal(seen.backend('p', 'b').requests, 1, 'what is older than ten seconds does not count');
  seen.add(status(3), 31_000);
  assert.equal(seen.backend('p', 'b').requests, null, 'its counter began anew');
  assert.equal(seen.backend('p', 'b').counts, null);
  assert.equal(seen.backend('p', 'other').requests, null);
  seen.add({ ...status(900), started_at: 2 }, 32_000);
  assert.equal(seen.backend('p', 'b').requests, null, 'another process');
  seen.add({ ...status(900, { responses: undefined, latency_counts: undefined }), started_at: 2 }, 33_000);
  assert.deepEqual([seen.backend('p', 'b').requests, seen.backend('p', 'b').counts], [0, null]);
}

async function percentiles() {
  const { percentile } = await module('rates.js');
  const bounds = [1, 2, 4];
  assert.equal(percentile([0, 0, 0, 0], bounds, 0.5), null);
  assert.equal(percentile([0, 10, 0, 0], bounds, 0.5), 1.5);
  assert.equal(percentile([10, 10, 0, 0], bounds, 0.5), 1);
  assert.equal(percentile([0, 0, 4, 0], bounds, 1), 4);
  assert.equal(percentile([1, 0, 0, 99], bounds, 0.5), Infinity);
}

async function numbers() {
  const { count, duration, latency, number, percent, rate } = await module('format.js');
  assert.deepEqual([null, undefined, NaN].map(number), ['–', '–', '–']);
  assert.deepEqual([0, 9_999, 12_345, 1_234_567].map(number), ['0', '9,999', '12.3k', '1.23M']);
  assert.deepEqual([0, 0.02, 3.14159, 250.4].map(rate), ['0', '<0.1', '3.1', '250']);
  assert.deepEqual([0.4, 2.5, 250, 1_250].map((ms) => latency(ms)), ['<1 ms', '2.5 ms', '250 ms', '1.3 s']);
  assert.equal(latency(Infinity, 10_000), '>10.0 s');
  assert.deepEqual([0, 95, 150, 3_600 * 3, 86_400 * 3].map(duration), ['0 s', '95 s', '2 min 30 s', '3 h', '3 d']);
  assert.deepEqual([0, 0.001, 0.256].map(percent), ['0%', '<1%', '26%']);
  assert.deepEqual([count(1, 'session'), count(2, 'session')], ['1 session', '2 sessions']);
}
