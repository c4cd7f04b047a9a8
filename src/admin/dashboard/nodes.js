/** Nodes, each of which can be told to leave. */
import { attempt } from './calls.js';
import { confirm } from './dialogs.js';
import { h } from './dom.js';
import { nodeAddress } from './pages.js';
import { age, number } from './words.js';

const COLUMNS = ['Node', 'Linkers connect to', 'Version', 'Held', 'Active', 'Links', 'Heartbeat', ''];

export function nodes({ nodes: all, node: answering }) {
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'nodes' },
      h('thead', {}, h('tr', {}, ...COLUMNS.map((text, at) => h('th', { scope: 'col', class: at > 2 && at < 7 ? 'number' : '', text })))),
      h('tbody', {}, ...all.map((one) => row(one, one.id === answering))),
    ),
  );
}

function row({ id, address, version, held, active, links, heartbeatAgeMs, draining }, isThis) {
  return h(
    'tr',
    { key: id, class: draining ? 'draining' : '' },
    h(
      'td',
      {},
      h('a', { href: nodeAddress(id) }, h('b', { text: id })),
      isThis && ' ',
      isThis && h('span', { class: 'tag', text: 'this one' }),
      draining && ' ',
      draining && h('span', { class: 'tag waiting', text: 'draining' }),
    ),
    h('td', { text: address }),
    h('td', { text: version }),
    h('td', { class: 'number', text: number(held) }),
    h('td', { class: 'number', text: number(active) }),
    h('td', { class: 'number', text: number(links) }),
    h('td', { class: heartbeatAgeMs > 2000 ? 'number late' : 'number', text: `${age(heartbeatAgeMs)} ago` }),
    h(
      'td',
      { class: 'number' },
      h('button', {
        type: 'button',
        text: 'Drain',
        disabled: draining,
        'aria-label': `Drain node ${id}`,
        onclick: () => void drain(id, isThis),
      }),
    ),
  );
}

async function drain(id, isThis) {
  const page = isThis ? ' This page is served by it and will lose its connection.' : '';
  const text = `It accepts no new clients, serves the ones that it has, and ends. This page cannot start it again.${page}`;
  if ((await confirm(`Drain node ${id}?`, text, 'Drain')) === null) return;
  await attempt(`Node ${id} was asked to leave.`, 'POST', `api/v1/nodes/${encodeURIComponent(id)}/drain`);
}
