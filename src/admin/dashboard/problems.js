// What is wrong with a configuration file: the banner of a refused reload, and the list that it and the plan show.

import { $, el, render } from './dom.js';
import { moment } from './format.js';

/** The problems as a list: where, what is wrong, what would be right. */
export function problemList(problems) {
  return el('ul', { class: 'problems' }, problems.map(({ line, column, key, message, help }) => el('li', {},
    el('span', { class: 'where', text: line > 0 ? `line ${line}${column > 0 ? `:${column}` : ''}` : 'file' }),
    el('span', {},
      key ? el('code', { text: key }) : null, key ? ': ' : null, message,
      help ? el('small', { text: help }) : null))));
}

/** Shows why the file that is there now is not in force, until a good one is. */
export class Banner {
  #hidden = null;

  /** A reload as the status tells of it: `{ at, outcome, by, error, problems }`, or null. */
  hear(reload) {
    const place = $('refused');
    if (reload?.outcome !== 'refused') {
      place.hidden = true;
      return;
    }
    const { at, by, error, problems = [] } = reload;
    place.hidden = this.#hidden === `${at}`;
    render(place, [at, by, error, problems], () => [
      el('h2', { id: 'refused-title', text: 'The file is not in force: the last reload was refused' }),
      el('p', { text: `${moment(at)}${by ? `, by ${by}` : ''}. The proxy goes on with the configuration before.` }),
      problems.length > 0 ? problemList(problems) : el('p', { class: 'error', text: error ?? 'No reason is known.' }),
      el('button', { type: 'button', class: 'quiet', text: 'Hide', onclick: () => { this.#hidden = `${at}`; place.hidden = true; } }),
    ]);
  }
}
