// Small helpers to build elements and to change only what has changed. All text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** An element with `class`, `text`, `data`, handlers such as `onclick`, other attributes, and children. */
export function el(tag, { class: className, text, data, ...rest } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(rest)) {
    if (name.startsWith('on')) element[name] = value;
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...present(children));
  return element;
}

const present = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

const SVG = 'http://www.w3.org/2000/svg';

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets the text of an element, if it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, if it is another; null takes it away. */
export function mark(element, name, value) {
  if (value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Replaces the children of `parent`, unless `key` says that nothing has changed. */
export function render(parent, key, make) {
  const text = JSON.stringify(key);
  if (parent.rendered === text) return;
  parent.rendered = text;
  parent.replaceChildren(...present(make()));
}

/** Puts children in this order and takes all others out. Those in their place are not touched, so that focus stays. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  if (focused && document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
}

/** The parts of a table whose cells are laid out by CSS: with their roles written down, no layout takes them away. */
export const cell = (options, ...children) => el('td', { role: 'cell', ...options }, ...children);
export const row = (options, ...children) => el('tr', { role: 'row', ...options }, ...children);
export const head = (options, ...children) => el('th', { role: 'columnheader', scope: 'col', ...options }, ...children);

/** A plain table: titles, and rows of texts or nodes. */
export function table(label, titles, rows) {
  return el('table', { role: 'table', 'aria-label': label, class: 'plain' },
    el('thead', { role: 'rowgroup' }, row({}, titles.map((title) => head({ text: title })))),
    el('tbody', { role: 'rowgroup' }, rows.map((cells) => row({}, cells.map((content) => cell({}, content))))));
}

/** Says something to those who do not see it. */
export function announce(text) {
  $('said').textContent = text;
}
