// Talking to the proxy: WebSockets that come back by themselves, and small JSON calls.

const FIRST_WAIT = 250;
const LONGEST_WAIT = 5_000;
const PATIENCE = 8_000;
/** The close code of a proxy that has moved this key to another backend: nothing is wrong. */
const MOVED = 1012;

/** A WebSocket that is dialled again when it ends, each time after a longer wait, with jitter. */
export class Connection {
  #target; #hear; #tell; #socket; #timer; #failures = 0; #closed = false;

  /** `target()` is asked for the path at every dial; `tell(state)` gets `open`, `dialling` or `waiting`. */
  constructor({ target, hear, tell = () => {} }) {
    this.#target = target;
    this.#hear = hear;
    this.#tell = tell;
    const hurry = () => document.visibilityState === 'visible' && this.#timer && this.redial();
    document.addEventListener('visibilitychange', hurry);
    window.addEventListener('online', hurry);
    this.redial();
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Leaves the present socket, if any, and dials at once or after `wait` milliseconds. */
  redial(wait = 0, meanwhile = 'dialling') {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#drop();
    this.#tell(meanwhile);
    if (wait > 0) this.#timer = setTimeout(() => this.redial(), wait);
    else this.#dial();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #dial() {
    const url = new URL(this.#target(), location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url);
    this.#socket = socket;
    const patience = setTimeout(() => this.#ended(socket, null), PATIENCE);
    socket.onopen = () => {
      clearTimeout(patience);
      this.#tell('open');
    };
    socket.onmessage = ({ data }) => {
      this.#failures = 0;
      this.#hear(JSON.parse(data));
    };
    socket.onclose = ({ code }) => {
      clearTimeout(patience);
      this.#ended(socket, code);
    };
  }

  #ended(socket, code) {
    if (socket !== this.#socket) return;
    if (code === MOVED && this.#failures === 0) {
      this.#failures += 1;
      this.redial();
      return;
    }
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 1.7 ** this.#failures);
    this.#failures += 1;
    this.redial(longest * (0.5 + Math.random() / 2), 'waiting');
  }
}

/** Answer of a JSON call: `{ ok, status, body }`; never throws. */
export async function call(path, { method = 'GET', body } = {}) {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  try {
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const json = response.headers.get('content-type')?.startsWith('application/json');
    return { ok: response.ok, status: response.status, body: json ? await response.json() : {} };
  } catch {
    return { ok: false, status: 0, body: { error: 'The proxy does not answer.' } };
  }
}

export const post = (path, body = {}) => call(path, { method: 'POST', body });
