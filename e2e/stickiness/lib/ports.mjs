// Ports that nobody listens on.

import { once } from 'node:events';
import { createServer } from 'node:net';

/** An address on the loopback with a port that was free a moment ago. */
export async function freeAddress() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}
