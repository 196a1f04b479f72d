// Small helpers to build and find elements.

export const $ = (id) => document.getElementById(id);

/** An element with properties (`class`, `text`, `data`, handlers as `onclick`) and children. */
export function el(tag, { class: className, text, data, ...rest } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(rest)) {
    if (name.startsWith('on')) element[name] = value;
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Replaces the children of `parent`, unless `key` says that nothing changed. */
export function render(parent, key, make) {
  const text = JSON.stringify(key);
  if (parent.rendered === text) return;
  parent.rendered = text;
  parent.replaceChildren(...make().filter(Boolean));
}

const order = [];

/** Backends get their colour by the order in which the fleet lists them. */
export function learnColours(names) {
  for (const name of names) if (!order.includes(name)) order.push(name);
}

export function colourOf(backend) {
  const index = order.indexOf(backend);
  return index < 0 ? 'none' : String(index % 6);
}

/** A backend's name in its colour. */
export function badge(backend) {
  return el('b', { class: 'badge', text: backend, data: { colour: colourOf(backend) } });
}

/** `text` in which the names of backends are badges. */
export function withBadges(text) {
  if (order.length === 0) return [text];
  const names = new RegExp(`\\b(${order.join('|')})\\b`);
  return text.split(names).map((part) => (order.includes(part) ? badge(part) : part));
}
