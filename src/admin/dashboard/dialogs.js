// Dialogs: one at a time, closed by Escape, with the focus kept inside and given back (which the browser does).

import { el } from './dom.js';

let dialogs = 0;

/**
 * Opens a dialog. `submit` is called with the form when its first button is pressed; the dialog closes when it returns,
 * and shows the message of what it throws instead. Resolves when the dialog has closed: whether by `submit`.
 * @param {{ title: string, body: Node[], button: string, tone?: string, submit: (form: HTMLFormElement) => any,
 *   cancel?: string }} options
 */
export function open({ title, body, button, tone, submit, cancel = 'Cancel' }) {
  const id = `dialog-${dialogs += 1}`;
  const error = el('p', { class: 'error', role: 'alert', hidden: true });
  const go = button && el('button', { type: 'submit', text: button, class: tone });
  const leave = el('button', { type: 'button', class: 'quiet', text: cancel });
  const form = el('form', {}, el('h2', { id, text: title }), ...body, error, el('p', { class: 'buttons' }, leave, go));
  const dialog = el('dialog', { 'aria-labelledby': id }, form);
  let done = false;
  leave.onclick = () => dialog.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (!go || go.disabled) return;
    go.disabled = true;
    error.hidden = true;
    try {
      await submit(form);
      done = true;
      dialog.close();
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    }
    go.disabled = false;
  };
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      resolve(done);
    };
  });
}
