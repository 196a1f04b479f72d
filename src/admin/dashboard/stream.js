// Follows the proxy's events: server-sent events read by fetch, since an EventSource cannot show a token.

import { address, api, credentials } from './api.js';

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
/** The proxy says something every 15 s, if only that it is there. */
const SILENCE = 40_000;

/** Cuts a stream of text into its events: `{ event, data, id }` each. */
export class Parser {
  #rest = ''; #event = {};

  /** The events that end within this piece. */
  feed(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line.replace(/\r$/, ''))).filter(Boolean);
  }

  #line(line) {
    if (line === '') {
      const event = this.#event;
      this.#event = {};
      return event.data === undefined ? null : event;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === 'data' && this.#event.data !== undefined) this.#event.data += `\n${value}`;
    else if (['data', 'event', 'id'].includes(field)) this.#event[field] = value;
    return null;
  }
}

/** Dispatches `event` for each, with its data; `state` with `live`, `waiting` or `absent`. */
export class Stream extends EventTarget {
  #last = null; #pause = FIRST_PAUSE; #timer = null; #ending = null; #stopped = true;

  start() {
    document.addEventListener('visibilitychange', () => (document.hidden ? this.stop() : this.resume()));
    if (!document.hidden) this.resume();
  }

  resume() {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#pause = FIRST_PAUSE;
    this.#follow();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#ending?.abort();
  }

  /** Another process counts its events anew. */
  restart() {
    this.#last = null;
    this.stop();
    this.resume();
  }

  async #follow() {
    const ending = new AbortController();
    this.#ending = ending;
    try {
      await this.#read(ending);
    } catch {
      // It broke off, or never began: both are mended by trying again.
    }
    // Another one may have begun meanwhile.
    if (this.#stopped || this.#ending !== ending) return;
    this.#timer = setTimeout(() => this.#follow(), this.#pause);
    this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2);
  }

  async #read(ending) {
    const headers = { ...credentials(), accept: 'text/event-stream' };
    if (this.#last !== null) headers['last-event-id'] = this.#last;
    const response = await fetch(address('api/events'), { headers, cache: 'no-store', signal: ending.signal });
    if (response.status === 401) {
      this.stop();
      api.dispatchEvent(new Event('locked'));
    }
    if (!response.ok) {
      if (response.status === 404) this.#pause = LONGEST_PAUSE;
      this.#tell('state', response.status === 404 ? 'absent' : 'waiting');
      await response.body?.cancel();
      return;
    }
    this.#tell('state', 'live');
    const [reader, parser] = [response.body.pipeThrough(new TextDecoderStream()).getReader(), new Parser()];
    let silence;
    try {
      for (;;) {
        clearTimeout(silence);
        silence = setTimeout(() => ending.abort(), SILENCE);
        const { done, value } = await reader.read();
        if (done) break;
        this.#pause = FIRST_PAUSE;
        parser.feed(value).forEach((event) => this.#hear(event));
      }
    } finally {
      clearTimeout(silence);
      this.#tell('state', 'waiting');
    }
  }

  #hear({ event, data, id }) {
    if (id !== undefined) this.#last = id;
    try {
      this.#tell('event', { kind: event, ...JSON.parse(data) });
    } catch {
      // Not of this API.
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
