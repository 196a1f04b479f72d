// A cookie jar for one site: names, values, and when they end. Domain and path are not looked at.

/** What one browser keeps. */
export class Jar {
  #cookies = new Map();

  /** @param {string[]} lines the values of Set-Cookie */
  store(lines = []) {
    for (const line of lines) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const [name, value] = cut(pair);
      if (attributes.some(ends)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
  }

  /** @param {string} name */
  get(name) {
    return this.#cookies.get(name);
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    this.#cookies.set(name, value);
    return this;
  }

  get names() {
    return [...this.#cookies.keys()];
  }

  /** The value of the Cookie field; undefined where there is nothing to send. */
  get header() {
    const pairs = [...this.#cookies].map(([name, value]) => `${name}=${value}`);
    return pairs.length > 0 ? pairs.join('; ') : undefined;
  }
}

/**
 * The pairs of a Cookie field, or the attributes of a Set-Cookie one (lower case).
 * @param {string} field
 */
export function pairs(field = '') {
  return new Map(field.split(';').map((part) => cut(part.trim())).filter(([name]) => name));
}

function cut(pair) {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

function ends(attribute) {
  const [name, value] = cut(attribute);
  if (name.toLowerCase() === 'max-age') return Number(value) <= 0;
  return name.toLowerCase() === 'expires' && Date.parse(value) <= Date.now();
}
