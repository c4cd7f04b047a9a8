/** What is wrong now, first and in words. */
import { h } from './dom.js';
import { age, clock, counted } from './words.js';

const SHOWN_MAX = 20;
/** A node whose heartbeat was older than this when it was last seen did not leave by itself. */
const SILENT_MS = 1900;
const GONE_SHOWN_MS = 15 * 60_000;
const LEFT_SHOWN_MS = 60_000;

/** Nodes that this page has seen: id → what was last seen of them, and since when they are gone. */
const seen = new Map();

export function troubles(state) {
  const all = [...goneNodes(state), ...state.troubles].sort((a, b) => rank(a) - rank(b));
  const serious = all.filter(({ severity }) => severity !== 'note');
  const notes = all.filter(({ severity }) => severity === 'note');
  const shown = serious.slice(0, SHOWN_MAX);
  return [
    serious.length === 0 ? h('p', { key: 'well', class: 'well', text: `Nothing is wrong. ${summary(state)}` }) : null,
    ...shown.map((trouble) =>
      h(
        'div',
        { key: keyOf(trouble), class: `trouble ${trouble.severity}` },
        h('p', {}, ...sentence(trouble)),
        h('p', { class: 'advice', text: trouble.advice }),
        dismissal(trouble),
      ),
    ),
    serious.length > SHOWN_MAX ? h('p', { key: 'more', class: 'quiet', text: `and ${serious.length - SHOWN_MAX} more like these` }) : null,
    notes.length > 0
      ? h(
          'ul',
          { key: 'notes', class: 'notes' },
          ...notes
            .slice(0, SHOWN_MAX)
            .map((note) => h('li', { key: keyOf(note) }, ...sentence(note), h('span', { class: 'quiet', text: `. ${note.advice}` }))),
        )
      : null,
  ].filter((one) => one !== null);
}

/** How many need somebody, for the title of the tab. */
export function serious({ troubles: known }) {
  return known.filter(({ severity }) => severity !== 'note').length;
}

export function anchorOf(name) {
  return `route-${name}`;
}

function rank({ severity }) {
  return ['error', 'warning', 'note'].indexOf(severity);
}

function keyOf({ code, route, node }) {
  return `${code} ${route ?? ''} ${node ?? ''}`;
}

/** The route's name leads to the route. */
function sentence({ text, route }) {
  if (route === null || !text.startsWith(`${route}:`)) return [h('span', { text })];
  return [h('a', { href: `#${anchorOf(route)}`, text: route }), h('span', { text: text.slice(route.length) })];
}

function dismissal({ forget }) {
  return forget === undefined ? null : h('button', { type: 'button', class: 'dismiss', text: 'Dismiss', onclick: forget });
}

function summary({ nodes, routes }) {
  const held = routes.reduce((total, route) => total + route.held, 0);
  const instances = routes.reduce((total, route) => total + route.instances.length, 0);
  const waiting = held === 0 ? 'Nobody waits' : `${counted(held, 'client')} waiting for a slot`;
  return `${waiting}; ${counted(nodes.length, 'node')}, ${counted(routes.length, 'route')}, ${counted(instances, 'instance')}.`;
}

/** The directory forgets a dead node; whoever looks at the page has seen that it was there. */
function goneNodes({ nodes, redis, at }) {
  // A node without Redis knows itself alone.
  if (redis.connected === false) return [];
  for (const node of nodes) seen.set(node.id, { ...node, goneAt: null });
  const present = new Set(nodes.map(({ id }) => id));
  const found = [];
  for (const [id, node] of seen) {
    if (present.has(id)) continue;
    node.goneAt ??= at;
    const left = node.draining || node.heartbeatAgeMs < SILENT_MS;
    if (at - node.goneAt > (left ? LEFT_SHOWN_MS : GONE_SHOWN_MS)) seen.delete(id);
    else found.push(left ? leftNode(node) : lostNode(node));
  }
  return found;
}

function leftNode({ id, goneAt }) {
  return { severity: 'note', code: 'left', route: null, node: id, text: `node ${id} left at ${clock(goneAt)}`, advice: 'It was told to.' };
}

function lostNode({ id, address, goneAt, heartbeatAgeMs }) {
  return {
    severity: 'warning',
    code: 'lost',
    route: null,
    node: id,
    text: `node ${id} is gone since ${clock(goneAt)}: no heartbeat for ${age(Math.max(3000, heartbeatAgeMs))}`,
    advice: `It was killed, or is cut off from Redis. What went through it is lost, the other nodes go on. Is its machine up (${address})?`,
    forget: () => seen.delete(id),
  };
}
