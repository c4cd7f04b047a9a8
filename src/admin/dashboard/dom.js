/**
 * A picture is described anew each second and the page is made to match, by keys: what stays the same is not touched, so that nothing flickers,
 * focus and selection stay, and what is opened stays open. Only text nodes are made from data, so a name can't become markup.
 */

/**
 * @param {string} tag
 * @param {Record<string, unknown>} [props] `key`; `text`; `class`; `style`: custom properties and others; `on…`: handlers; all else: attributes
 * @param {...(object | string | null | false)} children
 */
export function h(tag, props = {}, ...children) {
  return { tag, props, children: children.flat().filter((child) => child !== null && child !== false) };
}

/** Makes the element's children what is described. */
export function show(parent, ...described) {
  patchChildren(parent, described.flat());
}

export function byId(id) {
  return document.getElementById(id);
}

/** @returns {HTMLInputElement} */
export function input(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

/** Keys that are pressed in a field are no shortcuts. */
export function isTyping({ target }) {
  return target.closest('input, select, dialog') !== null;
}

function patchChildren(parent, described) {
  const keyed = new Map();
  const loose = [];
  for (const node of parent.childNodes) {
    if (node.patchKey === undefined) loose.push(node);
    else keyed.set(node.patchKey, node);
  }
  let at = parent.firstChild;
  for (const one of described) {
    const node = take(one, keyed, loose);
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
    if (typeof one !== 'string') patch(node, one);
  }
  for (const node of [...keyed.values(), ...loose]) node.remove();
}

/** The node that stands for it already, or a new one. */
function take(one, keyed, loose) {
  if (typeof one === 'string') {
    const text = loose[0]?.nodeType === Node.TEXT_NODE ? loose.shift() : document.createTextNode('');
    if (text.data !== one) text.data = one;
    return text;
  }
  const { key } = one.props;
  if (key !== undefined) {
    const known = keyed.get(key);
    keyed.delete(key);
    return known?.localName === one.tag ? known : made(one.tag, key, known);
  }
  return loose[0]?.localName === one.tag ? loose.shift() : made(one.tag);
}

function made(tag, key, replaced) {
  replaced?.remove();
  const element = document.createElement(tag);
  element.patchKey = key;
  element.patched = {};
  return element;
}

function patch(element, { props, children }) {
  const before = element.patched ?? {};
  for (const [name, value] of Object.entries(props)) if (before[name] !== value) set(element, name, value);
  for (const name of Object.keys(before)) if (!(name in props)) set(element, name, undefined);
  element.patched = props;
  if (props.text === undefined) patchChildren(element, children);
}

function set(element, name, value) {
  if (name === 'key') return;
  if (name === 'text') {
    if (element.textContent !== String(value ?? '')) element.textContent = value ?? '';
  } else if (name === 'class') element.className = value ?? '';
  else if (name === 'style') for (const [property, one] of Object.entries(value ?? {})) element.style.setProperty(property, one);
  else if (name.startsWith('on')) element[name] = value ?? null;
  else if (value === undefined || value === false || value === null) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? '' : value);
}
