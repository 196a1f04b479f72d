// Shares of a whole as a picture: one bar, a segment for each part, as wide as its share.

import { mark, say, svg } from './dom.js';
import { percent } from './format.js';

const WIDE = 1000;

/** The hue of the part at this place: neighbours differ, and it stays as long as the place does. */
export const hueOf = (index) => Math.round((200 + index * 137.508) % 360);

export class ShareBar {
  #parts = [];

  constructor() {
    this.node = svg('svg', { class: 'share', viewBox: `0 0 ${WIDE} 10`, preserveAspectRatio: 'none', role: 'img' });
  }

  /** `parts`: `{ name, value, hue }` each; `what` is shared. */
  show(parts, what) {
    const total = parts.reduce((sum, { value }) => sum + value, 0);
    while (this.#parts.length < parts.length) this.#parts.push(this.#part());
    for (const part of this.#parts.splice(parts.length)) part.rect.remove();
    let start = 0;
    parts.forEach(({ name, value, hue }, index) => {
      const wide = total > 0 ? (value / total) * WIDE : 0;
      const { rect, title } = this.#parts[index];
      mark(rect, 'x', start.toFixed(2));
      mark(rect, 'width', wide.toFixed(2));
      rect.style.setProperty('--hue', hue);
      say(title, `${name}: ${value.toLocaleString('en')} (${percent(total > 0 ? value / total : 0)})`);
      start += wide;
    });
    mark(this.node, 'aria-label', total > 0 ? `${what} per backend: ${top(parts, total)}` : `No ${what.toLowerCase()}`);
    this.node.classList.toggle('empty', total === 0);
  }

  #part() {
    const title = svg('title');
    const rect = svg('rect', { y: 0, height: 10 }, title);
    this.node.append(rect);
    return { rect, title };
  }
}

function top(parts, total) {
  const most = parts.toSorted((a, b) => b.value - a.value).slice(0, 5);
  const told = most.map(({ name, value }) => `${name} ${percent(value / total)}`);
  return told.join(', ') + (parts.length > most.length ? ` and ${parts.length - most.length} more` : '');
}
