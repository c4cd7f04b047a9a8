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
  const answer = await call('GET', `api/v1/routes/${encodeURIComponent(name)}`);
  if (answer === null) throw new Error('it needs the token');
  return answer;
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
        h('input', { name: 'route', placeholder: 'app.example.com', required: true, autofocus: true }),
      ),
    h('div', { class: 'fields' }, ...keys.map(([key, schema]) => field(key, schema, settings?.[key], defaults[key] ?? schema.default))),
    h('ul', { id: 'problems', class: 'problem', role: 'alert' }),
    h(
      'div',
      { class: 'buttons' },
      settings !== null &&
        h('button', { type: 'button', class: 'danger', text: 'Delete the settings', onclick: () => void remove(name, close) }),
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
        { name: key },
        h('option', { value: '', text: `${placeholder} (default)` }),
        ...schema.enum.map((one) => h('option', { value: one, text: one, selected: one === value })),
      )
    : h('input', {
        name: key,
        value: value ?? '',
        placeholder,
        autocomplete: 'off',
        spellcheck: 'false',
        inputmode: schema.type === 'integer' ? 'numeric' : 'text',
      });
  // What is expected is said where it is missed.
  const help = schema.description.replace(/ \([^)]*\)$/, '');
  return h(
    'label',
    { class: 'field', title: schema.description },
    h('span', { text: key }),
    input,
    h('small', { class: 'quiet', text: help }),
  );
}

async function save(element, name, keys, close) {
  const body = {};
  for (const [key, { type }] of keys) {
    const value = element.elements[key].value.trim();
    if (value !== '') body[key] = type === 'integer' && /^\d+$/.test(value) ? Number(value) : value;
  }
  const route = name ?? element.elements.route.value.trim();
  if (route === '') return problems(['Host name: expected one such as app.example.com']);
  try {
    const answer = await call('PUT', `api/v1/routes/${encodeURIComponent(route)}`, body);
    if (answer === null) return;
    toast('good', `Settings of ${answer.name} saved.`);
    close(true);
  } catch (error) {
    problems(error instanceof Refused ? error.message.split('; ') : ['The node does not answer.']);
  }
}

function problems(list) {
  show(
    byId('problems'),
    list.map((text) => h('li', { text })),
  );
}

async function remove(name, close) {
  const text = `${name} falls back to the defaults, and is forgotten when no instance of it is linked.`;
  if ((await confirm(`Delete the settings of ${name}?`, text, 'Delete')) === null) return;
  try {
    if ((await call('DELETE', `api/v1/routes/${encodeURIComponent(name)}`)) === null) return;
    toast('good', `Settings of ${name} deleted.`);
    close(true);
  } catch (error) {
    problems([error instanceof Refused ? error.message : 'The node does not answer.']);
  }
}
