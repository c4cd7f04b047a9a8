/** The troubles of now, first and in words. */
import { attempt } from './calls.js';
import { h } from './dom.js';
import { routeAddress } from './pages.js';
import { counted } from './words.js';

const SHOWN_MAX = 20;
export function troubles(state) {
  const all = state.troubles;
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
        forgetting(trouble),
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

function keyOf({ code, route, node }) {
  return `${code} ${route ?? ''} ${node ?? ''}`;
}

/** The route's name leads to the route. */
function sentence({ text, route }) {
  if (route === null || !text.startsWith(`${route}:`)) return [h('span', { text })];
  return [h('a', { href: routeAddress(route), text: route }), h('span', { text: text.slice(route.length) })];
}

/** A missing node may be one that does not come back. */
function forgetting({ code, node }) {
  if (code !== 'node_missing') return null;
  const forget = () => void attempt(`Node ${node} is missed no longer.`, 'POST', `api/v1/nodes/${encodeURIComponent(node)}/forget`);
  return h('button', { type: 'button', class: 'dismiss', text: 'Forget', 'aria-label': `Forget node ${node}`, onclick: forget });
}

function summary({ nodes, routes }) {
  const held = routes.reduce((total, route) => total + route.held, 0);
  const instances = routes.reduce((total, route) => total + route.instances.length, 0);
  const waiting = held === 0 ? 'Nobody waits' : `${counted(held, 'client')} waiting for a slot`;
  return `${waiting}; ${counted(nodes.length, 'node')}, ${counted(routes.length, 'route')}, ${counted(instances, 'instance')}.`;
}
