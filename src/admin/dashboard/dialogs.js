/** Questions to the person, and notes at the page's edge. */
import { byId, h, show } from './dom.js';

const NOTE_MS = 6000;
let notes = [];

/**
 * Opens a dialog with what `content` describes (it gets a function that closes it with a value) and resolves with that value; null when it was
 * left otherwise.
 */
export function ask(label, content) {
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-label', label);
  document.body.append(dialog);
  return new Promise((resolve) => {
    let value = null;
    const close = (answer) => {
      value = answer;
      dialog.close();
    };
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(value);
    });
    show(dialog, content(close));
    dialog.showModal();
  });
}

export function confirm(title, text, action) {
  return ask(title, (close) => [
    h('h2', { text: title }),
    h('p', { text }),
    h(
      'div',
      { class: 'buttons' },
      h('button', { type: 'button', text: 'Cancel', onclick: () => close(null) }),
      h('button', { type: 'button', class: 'main', text: action, autofocus: true, onclick: () => close(true) }),
    ),
  ]);
}

/** The token, or null. */
export function askToken(wrong) {
  return ask('Token', (close) => [
    h(
      'form',
      {
        onsubmit: (event) => {
          event.preventDefault();
          close(event.target.elements.token.value.trim() || null);
        },
      },
      h('h2', { text: 'This needs the token' }),
      wrong && h('p', { class: 'problem', role: 'alert', text: 'That token was refused.' }),
      h('p', { class: 'quiet', text: 'The one that the node was started with: --admin-token. It is kept until this tab is closed.' }),
      h('label', {}, 'Token', h('input', { name: 'token', type: 'password', autocomplete: 'off', required: true, autofocus: true })),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', text: 'Cancel', onclick: () => close(null) }),
        h('button', { class: 'main', text: 'Go on' }),
      ),
    ),
  ]);
}

/** @param {'good' | 'bad'} kind */
export function toast(kind, text) {
  const note = { key: crypto.randomUUID?.() ?? String(Math.random()), kind, text };
  notes = [...notes, note].slice(-4);
  draw();
  setTimeout(() => {
    notes = notes.filter((one) => one !== note);
    draw();
  }, NOTE_MS);
}

function draw() {
  show(
    byId('toasts'),
    notes.map(({ key, kind, text }) => h('p', { key, class: `toast ${kind}`, text })),
  );
}
