// Numbers, times and words as people read them. What is not known is a dash.

export const DASH = '–';

const known = (value) => typeof value === 'number' && Number.isFinite(value);

/** 1234567 as `1.23M`, 12345 as `12.3k`; below 10,000 all digits. */
export function number(value) {
  if (!known(value)) return DASH;
  if (value < 10_000) return Math.round(value).toLocaleString('en');
  const [unit, by] = value < 1e6 ? ['k', 1e3] : value < 1e9 ? ['M', 1e6] : ['G', 1e9];
  return `${(value / by).toPrecision(3)}${unit}`;
}

/** So many per second. */
export function rate(value) {
  if (!known(value)) return DASH;
  if (value === 0) return '0';
  if (value < 0.1) return '<0.1';
  return value < 10 ? value.toFixed(1) : number(value);
}

/** Milliseconds; infinity is more than the highest bound. */
export function latency(ms, highest) {
  if (ms === Infinity) return highest ? `>${latency(highest)}` : DASH;
  if (!known(ms)) return DASH;
  if (ms < 1) return '<1 ms';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Seconds in at most two units: `2 h 5 min`. */
export function duration(seconds) {
  if (!known(seconds)) return DASH;
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 120) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 120) return whole % 60 && minutes < 10 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 10 ? `${days} d ${hours % 24} h` : `${days} d`;
}

// Seconds by which the proxy's clock is ahead of this browser's.
let ahead = 0;

/** Learns what time it is for the proxy, from a status. */
export function synchronise({ started_at: started, uptime_seconds: uptime }) {
  if (known(started) && known(uptime)) ahead = started + uptime - Date.now() / 1000;
}

/** How many seconds ago a Unix time was, by the proxy's clock; null if it is not known. */
export function ago(unix) {
  return known(unix) && unix > 0 ? Math.max(0, Date.now() / 1000 + ahead - unix) : null;
}

/** The same in words. */
export function since(unix) {
  return duration(ago(unix));
}

export function percent(share) {
  if (!known(share)) return DASH;
  const value = share * 100;
  return value > 0 && value < 1 ? '<1%' : `${Math.round(value)}%`;
}

export function bytes(value) {
  if (!known(value)) return DASH;
  if (value < 1024) return `${value} B`;
  return value < 1 << 20 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / (1 << 20)).toFixed(1)} MiB`;
}

/** The time of day of a Unix time. */
export function clock(unix) {
  return known(unix) ? new Date(unix * 1000).toLocaleTimeString([], { hour12: false }) : DASH;
}

/** Day and time of a Unix time. */
export function moment(unix) {
  return known(unix) ? new Date(unix * 1000).toLocaleString([], { hour12: false }) : DASH;
}

/** `1 session`, `2 sessions`; unknown numbers are a dash. */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}
