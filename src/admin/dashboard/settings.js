/** The settings of a route, as a form made of the API's own description. */
import { call, Refused } from './calls.js';
import { ask, confirm, toast } from './dialogs.js';
import { byId, h, show } from './dom.js';

let described = null;

/** `name`: null for a route that is to be added. */
export async function editSettings(name) {
  let given;
  try {
    described ??= fetch('api/v1/openapi.json').then((response) => response.json());
    const { properties } = (await described).components.schemas.RouteSettings;
    const { settings, defaults } = await current(name);
    given = { name, keys: Object.entries(properties), settings, defaults };
  } catch {
    described = null;
    return toast('bad', 'The settings can not be read now.');
  }
  await ask(name === null ? 'Add a route' : `Settings of ${name}`, (close) => form(given, close));
}

async function current(name) {
  if (name === null) return { settings: null, defaults: {} };
  const route = await call('GET', `api/v1/routes/${encodeURIComponent(name)}`);
  if (route === null) throw new Error('it needs the token');
  return route;
}

function form({ name, keys, settings, defaults }, close) {
  const title = name === null ? 'Add a route' : `Settings of ${name}`;
  const onsubmit = (event) => {
    event.preventDefault();
    void save(event.target, name, keys, close);
  };
  return h(
    'form',
    { onsubmit, novalidate: true },
    h('h2', { text: title }),
    h('p', { class: 'quiet', text: 'For the whole cluster, at once. What is left empty has its default.' }),
    name === null &&
      h(
        'label',
        { class: 'field' },
        h('span', { text: 'Host name' }),
        h('input', { name: 'route', placeholder: 'app.example.com', required: true, autofocus: true, 'aria-describedby': 'problem-route' }),
        h('small', { id: 'problem-route', class: 'field-problem' }),
      ),
    h('div', { class: 'fields' }, ...keys.map(([key, schema]) => field(key, schema, settings?.[key], defaults[key] ?? schema.default))),
    h('ul', { id: 'problems', class: 'problem', role: 'alert' }),
    h(
      'div',
      { class: 'buttons' },
      settings !== null &&
        h('button', {
          type: 'button',
          class: 'danger',
          text: 'Delete the settings',
          onclick: ({ target }) => void remove(target.form, name, close),
        }),
      h('span', { class: 'spring' }),
      h('button', { type: 'button', text: 'Cancel', onclick: () => close(null) }),
      h('button', { class: 'main', text: 'Save' }),
    ),
  );
}

function field(key, schema, value, standard) {
  const placeholder = standard === undefined ? 'none' : String(standard);
  const input = schema.enum
    ? h(
        'select',
        { name: key, 'aria-describedby': `problem-${key} help-${key}` },
        h('option', { value: '', text: `${placeholder} (default)` }),
        ...schema.enum.map((one) => h('option', { value: one, text: one, selected: one === value })),
      )
    : h('input', {
        name: key,
        value: value ?? '',
        placeholder,
        autocomplete: 'off',
        spellcheck: 'false',
        'aria-describedby': `problem-${key} help-${key}`,
        inputmode: schema.type === 'integer' ? 'numeric' : 'text',
      });
  // The expected value is said at the field where it is missing.
  const help = schema.description.replace(/ \([^)]*\)$/, '');
  return h(
    'label',
    { class: 'field', title: schema.description },
    h('span', { text: key }),
    input,
    h('small', { id: `problem-${key}`, class: 'field-problem' }),
    h('small', { id: `help-${key}`, class: 'quiet', text: help }),
  );
}

async function save(element, name, keys, close) {
  const body = {};
  for (const [key, { type }] of keys) {
    const value = element.elements[key].value.trim();
    if (value !== '') body[key] = type === 'integer' && /^\d+$/.test(value) ? Number(value) : value;
  }
  const route = name ?? element.elements.route.value.trim();
  if (route === '') return problems(element, ['Host name: expected one such as app.example.com']);
  try {
    // A route that is to be added must not lose the settings that it has already.
    const isNew = name === null ? { 'if-none-match': '*' } : {};
    const saved = await call('PUT', `api/v1/routes/${encodeURIComponent(route)}`, body, isNew);
    if (saved === null) return;
    toast('good', `Settings of ${saved.name} saved.`);
    close(true);
  } catch (error) {
    const said = error instanceof Refused ? error.message.split('; ') : ['The node does not answer.'];
    problems(
      element,
      said.map((text) => (text.startsWith(`${route} `) ? `Host name: ${text}` : text)),
    );
  }
}

/** Each is said at its field, where there is one; the first of these gets the focus. The rest, and which fields they are, is said above the buttons. */
function problems(element, list) {
  const inputs = [...element.elements].filter(({ name }) => name !== '');
  const said = new Map();
  const rest = [];
  for (const text of list) {
    const [, written = ''] = /^(Host name|the route|\w+)\b/.exec(text) ?? [];
    const key = ['Host name', 'the route'].includes(written) ? 'route' : written;
    if (inputs.some(({ name }) => name === key)) said.set(key, [...(said.get(key) ?? []), text]);
    else rest.push(text);
  }
  for (const input of inputs) {
    const texts = said.get(input.name);
    input.toggleAttribute('aria-invalid', texts !== undefined);
    if (texts !== undefined) input.setAttribute('aria-invalid', 'true');
    byId(`problem-${input.name}`).textContent = (texts ?? []).join('; ');
  }
  inputs.find(({ name }) => said.has(name))?.focus();
  const named = said.size === 0 ? [] : [`Wrong: ${[...said.keys()].join(', ')}.`];
  show(
    byId('problems'),
    [...named, ...rest].map((text) => h('li', { text })),
  );
}

async function remove(element, name, close) {
  const text = `${name} falls back to the defaults, and is forgotten when no instance of it is linked.`;
  if ((await confirm(`Delete the settings of ${name}?`, text, 'Delete')) === null) return;
  try {
    if ((await call('DELETE', `api/v1/routes/${encodeURIComponent(name)}`)) === null) return;
    toast('good', `Settings of ${name} deleted.`);
    close(true);
  } catch (error) {
    problems(element, [error instanceof Refused ? error.message : 'The node does not answer.']);
  }
}
