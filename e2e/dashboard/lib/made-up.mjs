// Statuses that nobody has to bring about.

const BOUNDS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000];
const STARTED = Math.floor(Date.now() / 1000) - 7265;

/** A backend, up and with some traffic; `index` makes it differ from others, `tick` lets its counters grow. */
export function backend(index, { tick = 0, ...more } = {}) {
  const share = 1 + (index * 7) % 13;
  const latency = BOUNDS.map((_, at) => (at >= 2 && at <= 5 ? share * (tick + 1) * (6 - at) : 0));
  return {
    name: `game-${index + 1}`, address: `10.0.${Math.floor(index / 200)}.${index % 200 + 1}:9000`, weight: 1, state: 'ready', health: 'up',
    health_reason: '200 in 1 ms', health_since: STARTED + index, outlier: false, ejected_seconds_left: null, slow_start: null, instance: null,
    sessions: share * 11, max_sessions: 0, connections: share * 3, max_connections: 0, in_flight: share * 3 + index % 3,
    requests_total: 1000 + share * tick * 9, failures_total: 0, retries_total: 0,
    responses: { '1xx': 0, '2xx': 900 + share * tick * 9, '3xx': 0, '4xx': 4, '5xx': 0 },
    latency_counts: [...latency, 0], latency_seconds_total: tick, tunnels_closed_total: 0, tunnels_dropped_total: 0, drain: null, ...more,
  };
}

export function pool(name, backends, more = {}) {
  const sessions = backends.reduce((sum, one) => sum + one.sessions, 0);
  return {
    name, mode: 'table', balance: 'rendezvous', sessions, capacity: 1_000_000, evictions_total: 0, affinity_violations_total: 0,
    waiting: 0, queue_limit: 1000, panicking: false, placed_total: sessions, rebound_total: 0, backends, ...more,
  };
}

export function status(pools, { tick = 0, ...more } = {}) {
  return {
    version: '0.1.0', started_at: STARTED, uptime_seconds: Date.now() / 1000 - STARTED, generation: 1, reload: null,
    connections: 812, max_connections: 100_000, latency_bounds_ms: BOUNDS, log_lines_dropped_total: 0, state: null,
    workers: [0, 1].map((index) => ({ index, connections: 400 + index, in_flight: 30, requests_total: 900 * tick, busy_seconds_total: tick * 0.4 })),
    listeners: [{ address: '0.0.0.0:8080', tls: false, http2: true, connections: 700, max_connections: 0, certificates: [] },
      { address: '[::]:8443', tls: true, http2: true, connections: 112, max_connections: 0,
        certificates: [{ names: ['chess.example.com', '*.example.com'], not_after: Date.now() / 1000 + 9.5 * 86_400 }] }],
    pools, ...more,
  };
}
