// Calls of the admin API, the token they show, and what can go wrong with them.

const KEPT_AS = 'homing.token';

/** The proxy answered, and the answer is no. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? `The answer is ${status}.`);
    this.status = status;
    this.body = body ?? {};
  }
}

/** Nothing answered that speaks this API. */
export class Unreachable extends Error {}

/** The token, kept until this tab is closed and nowhere else. */
export const token = {
  get: () => sessionStorage.getItem(KEPT_AS),
  keep: (text) => sessionStorage.setItem(KEPT_AS, text),
  forget: () => sessionStorage.removeItem(KEPT_AS),
};

/** Hears `locked` when a call was refused for want of a token. */
export const api = new EventTarget();

/** The headers that every call has. */
export function credentials() {
  const shown = token.get();
  return shown ? { authorization: `Bearer ${shown}` } : {};
}

/** The address of a call; names go in percent-encoded. */
export function address(path, ...names) {
  const encoded = names.map(encodeURIComponent);
  return new URL(path.replace(/\{\}/g, () => encoded.shift()), document.baseURI);
}

/** Reads. */
export function look(url) {
  return send(url, { method: 'GET', headers: credentials() });
}

/** Changes something, or asks what needs a body. */
export function order(method, url, body) {
  const headers = { ...credentials(), 'content-type': 'application/json' };
  return send(url, { method, headers, body: body === undefined ? '' : JSON.stringify(body) });
}

const PATIENCE = 10_000;

async function send(url, options) {
  let response;
  let body;
  try {
    response = await fetch(url, { ...options, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(PATIENCE) });
    body = await response.json();
  } catch (error) {
    throw new Unreachable('The proxy does not answer.', { cause: error });
  }
  if (response.ok) return body;
  if (response.status === 401) api.dispatchEvent(new Event('locked'));
  throw new Refused(response.status, body);
}
