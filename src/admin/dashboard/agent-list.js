/** Agents of a route: linkers that start instances of their machine themselves. */
import { h } from './dom.js';
import { nodeAddress, routeAddress } from './pages.js';
import { age, counted, number } from './words.js';

/** More are on the route's own page only. */
const SHOWN_MAX = 4;
const COLUMNS = ['Agent', 'Machine', 'Node', 'Instances', 'Room for', 'Last start'];

export function agentFacts(agents) {
  if (!agents) return false;
  const { count, room } = agents;
  const has = room === 0 ? 'no room for another instance' : `room for ${counted(room, 'more instance')}`;
  return h('li', { class: room === 0 ? 'waiting' : '', text: `${counted(count, 'agent')} with ${has}` });
}

export function agentList({ name, agents }, isPage) {
  if (!agents) return false;
  const rows = isPage ? agents.shown : agents.shown.slice(0, SHOWN_MAX);
  const left = agents.count - rows.length;
  return h(
    'div',
    { key: `agents of ${name}`, class: 'scroll' },
    h(
      'table',
      { class: 'agents' },
      h(
        'thead',
        {},
        h('tr', {}, ...COLUMNS.map((text, at) => h('th', { scope: 'col', class: at === 3 || at === 4 ? 'number' : '', text }))),
      ),
      h('tbody', {}, ...rows.map(row)),
    ),
    left > 0 && !isPage && h('p', {}, h('a', { href: routeAddress(name), text: `Show ${counted(left, 'more agent')}` })),
    left > 0 && isPage && h('p', { class: 'quiet', text: `and ${counted(left, 'more agent')}.` }),
  );
}

function row({ id, node, room, running, starting = 0, least, most, machine = '', failure }) {
  const range = least === undefined || most === undefined ? '' : ` of ${number(least)} to ${number(most)}`;
  const begun = starting === 0 ? '' : `, ${number(starting)} starting`;
  return h(
    'tr',
    { key: id },
    h('td', {}, h('code', { text: id })),
    h('td', { text: machine }),
    h('td', {}, h('a', { href: nodeAddress(node), text: node })),
    h('td', { class: 'number', text: `${number(running)}${range}${begun}` }),
    h('td', { class: 'number', text: number(room) }),
    h('td', {
      class: failure ? 'waiting' : 'quiet',
      text: failure ? `failed ${age(failure.ageMs)} ago: ${failure.reason}` : 'no failure',
    }),
  );
}
