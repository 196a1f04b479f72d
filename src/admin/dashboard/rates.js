// What happened per second of late: differences of counters between the newest status and one about ten seconds older.

const WINDOW = 10_000;

/** The value below which a share `q` of all lies, within its bucket by its place; infinity above the last bound. */
export function percentile(counts, bounds, q) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let rank = q * total;
  for (const [index, count] of counts.entries()) {
    if (count > 0 && rank <= count) {
      const [low, high] = [bounds[index - 1] ?? 0, bounds[index] ?? Infinity];
      return high === Infinity ? Infinity : low + (high - low) * (rank / count);
    }
    rank -= count;
  }
  return Infinity;
}

const identity = (pool, backend) => JSON.stringify([pool, backend]);

/** How much a counter has grown; null if it is not there, or began anew. */
function grown(now, before) {
  return typeof now === 'number' && typeof before === 'number' && now >= before ? now - before : null;
}

function added(values) {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) : null;
}

/** Rates over the statuses it was given. All are null until there are two. */
export class Rates {
  #samples = [];

  /** `at` in milliseconds of any steady clock. */
  add(status, at) {
    if (this.#samples.at(-1)?.status.started_at !== status.started_at) this.#samples = [];
    const backends = new Map();
    for (const pool of status.pools ?? []) {
      for (const backend of pool.backends) backends.set(identity(pool.name, backend.name), backend);
    }
    this.#samples.push({ at, status, backends });
    // The oldest that is kept is the last one outside the window, so that the window is full.
    while (this.#samples.length > 2 && this.#samples[1].at <= at - WINDOW) this.#samples.shift();
  }

  get bounds() {
    return this.#samples.at(-1)?.status.latency_bounds_ms ?? null;
  }

  /** `{ requests, errors, answers, failures }` per second, and `counts`: how many responses in each bucket of latency. */
  backend(pool, name) {
    const key = identity(pool, name);
    const [now, before, seconds] = this.#ends((sample) => sample.backends.get(key));
    if (!before) return NOTHING;
    const per = (value) => (value === null ? null : value / seconds);
    const answers = per(grown(now.responses?.['5xx'], before.responses?.['5xx']));
    const failures = per(grown(now.failures_total, before.failures_total));
    const counts = now.latency_counts?.map((count, index) => grown(count, before.latency_counts?.[index])) ?? null;
    return {
      requests: per(grown(now.requests_total, before.requests_total)),
      answers,
      failures,
      errors: added([answers, failures]),
      counts: counts?.includes(null) ? null : counts,
    };
  }

  /** Requests per second of a worker, and the share of its time that it was busy. */
  worker(index) {
    const [now, before, seconds] = this.#ends(({ status }) => status.workers?.find((worker) => worker.index === index));
    if (!before) return { requests: null, busy: null };
    const per = (value) => (value === null ? null : value / seconds);
    return {
      requests: per(grown(now.requests_total, before.requests_total)),
      busy: per(grown(now.busy_seconds_total, before.busy_seconds_total)),
    };
  }

  latency(counts, q) {
    return counts && this.bounds ? percentile(counts, this.bounds, q) : null;
  }

  /** Something in the newest sample and in the oldest that has it, and the seconds between. */
  #ends(find) {
    const newest = this.#samples.at(-1);
    const oldest = this.#samples.find((sample) => sample !== newest && find(sample));
    if (!oldest) return [null, null, 0];
    return [find(newest), find(oldest), (newest.at - oldest.at) / 1000];
  }
}

const NOTHING = { requests: null, errors: null, answers: null, failures: null, counts: null };

/** The rates of several backends together. */
export function together(all) {
  const counts = all.map((rates) => rates.counts).filter(Boolean);
  return {
    requests: added(all.map((rates) => rates.requests)),
    errors: added(all.map((rates) => rates.errors)),
    counts: counts.length > 0 ? counts[0].map((_, index) => counts.reduce((sum, one) => sum + one[index], 0)) : null,
  };
}
