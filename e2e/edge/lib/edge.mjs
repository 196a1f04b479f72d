// The usual scene: one backend of HTTP/1.1, and the proxy before it with a plain listener and one with TLS.

import { Backend } from './backend.mjs';
import { Authority } from './certificates.mjs';
import { freePort } from './ports.mjs';
import { SERVER } from './proxy.mjs';

/** The name of the site; `resolve` leads to it. */
export const SITE = 'site.test';

/** A proxy before one backend. */
export class Edge {
  /** @param {import('./stage.mjs').Stage} stage */
  static async open(stage) {
    const backend = await Backend.start(stage);
    const authority = await Authority.make(stage, 'authority');
    await authority.sign('site', { names: [SITE] });
    const edge = new Edge(backend, authority, await freePort(), await freePort());
    edge.proxy = await stage.proxy(`${SERVER}
[[listener]]
address = "127.0.0.1:${edge.plain}"
[[listener]]
address = "127.0.0.1:${edge.tls}"
tls = [{ cert = "site.pem", key = "site.key" }]
${poolOf([backend])}`);
    return edge;
  }

  constructor(backend, authority, plain, tls) {
    Object.assign(this, { backend, authority, plain, tls });
    /** What lets curl find the site and trust it. */
    this.trust = ['--cacert', authority.cert, ...resolve(SITE, plain), ...resolve(SITE, tls)];
  }

  /** The root of the site with or without TLS. */
  root(scheme) {
    return `${scheme}://${SITE}:${scheme === 'https' ? this.tls : this.plain}`;
  }
}

/** The only route and its pool, in a configuration. */
export function poolOf(backends) {
  const entries = backends.map(({ name, address }) => `[[pool.backend]]\nname = "${name}"\naddress = "${address}"\n`);
  return `[[route]]\npool = "app"\n[[pool]]\nname = "app"\n${entries.join('')}`;
}

/** What makes curl take a name for the loopback. */
export function resolve(name, port) {
  return ['--resolve', `${name}:${port}:127.0.0.1`];
}
