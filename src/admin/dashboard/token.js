// Asks for the token when the proxy wants one.

import { token } from './api.js';
import { $, el } from './dom.js';
import { open } from './dialogs.js';

let asking = false;

/** Asks for a token, unless that is being done; calls `then` when there is one. */
export async function askForToken(then) {
  if (asking) return;
  asking = true;
  const refused = token.get() !== null;
  token.forget();
  $('forget').hidden = true;
  const field = el('input', { type: 'password', name: 'token', required: true, autocomplete: 'current-password', spellcheck: 'false' });
  const given = await open({
    title: 'This proxy asks for a token',
    body: [
      refused ? el('p', { class: 'error', text: 'The proxy does not take this token.' }) : null,
      el('p', { text: 'It is the content of the file that admin.token_file names. It is kept in this tab until the tab is closed, and sent to this proxy only.' }),
      el('label', {}, el('span', { text: 'Token' }), field),
    ].filter(Boolean),
    button: 'Show the fleet',
    cancel: 'Not now',
    submit: () => token.keep(field.value.trim()),
  });
  asking = false;
  if (!given) {
    $('lost').replaceChildren(el('p', { text: 'Without the token there is nothing to see. ' }),
      el('button', { type: 'button', class: 'quiet', text: 'Enter the token', onclick: () => askForToken(then) }));
    $('lost').hidden = false;
    return;
  }
  $('lost').hidden = true;
  $('forget').hidden = false;
  then();
}

/** The button that forgets it. */
export function offerToForget() {
  $('forget').hidden = token.get() === null;
  $('forget').onclick = () => {
    token.forget();
    location.reload();
  };
}
