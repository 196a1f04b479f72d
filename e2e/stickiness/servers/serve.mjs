// What all backends have in common: a name, a port that the runner is told, complaints, and an end with the runner.

/** This backend's name. */
export const NAME = process.argv[2];

/** Listens on a free port and tells the runner which. */
export function serve(server) {
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1', 512, () => process.send({ port: server.address().port }));
}

/** Tells the runner of something that must never reach a backend. */
export function complain(complaint) {
  process.send({ complaint });
}

// An answer that overtakes nothing: when it arrives, so has every complaint before it.
process.on('message', () => process.send({ settled: true }));
process.on('disconnect', () => process.exit());
