// Markers: every request has its own, and so must its answer, to the last octet.

let made = 0;

/** A marker that nobody else has. */
export function fresh() {
  made += 1;
  return `<${made.toString(36)}-${Math.random().toString(36).slice(2, 10)}>`;
}

/** At least `size` octets of nothing but the marker. */
export function filled(marker, size) {
  return marker.repeat(Math.max(1, Math.ceil(size / marker.length)));
}
