/** Routes in the order in which somebody looks for them, and many of them as lines that lead to their pages. */
import { h } from './dom.js';
import { routeAddress } from './pages.js';
import { windowed } from './windowed.js';
import { counted, number, routeName } from './words.js';

const LINE_HEIGHT = 34;

const byName = (a, b) => (a.name < b.name ? -1 : 1);
const most = (read) => (a, b) => read(b) - read(a) || byName(a, b);

export const ORDERS = {
  urgent: 'troubled first',
  name: 'by name',
  held: 'most held',
  active: 'most active',
  instances: 'most instances',
};

/** `urgent`: those with troubles, the worst first, then those that hold clients, are busy or start something. */
export function ordered(routes, troubles, order) {
  if (order === 'name') return routes.toSorted(byName);
  if (order === 'held') return routes.toSorted(most(({ held }) => held));
  if (order === 'active') return routes.toSorted(most(({ active }) => active));
  if (order === 'instances') return routes.toSorted(most(({ instances }) => instances.length));
  const ranks = new Map(routes.map((route) => [route.name, rank(route)]));
  for (const { route, severity } of troubles) {
    if (route === null) continue;
    ranks.set(route, Math.min(ranks.get(route) ?? 9, { error: 0, warning: 1, note: 5 }[severity]));
  }
  return routes.toSorted((a, b) => ranks.get(a.name) - ranks.get(b.name) || byName(a, b));
}

function rank({ held, active, starting }) {
  if (held > 0) return 2;
  if (active > 0 || starting > 0) return 3;
  return 6;
}

/** Fewer words for each than a card has. */
export function routeLines(routes, troubles, redraw) {
  const worst = new Map();
  for (const { route, severity } of troubles) if (route !== null && !worst.has(route)) worst.set(route, severity);
  const label = `${counted(routes.length, 'route')}, each with a page of its own`;
  return windowed('route-lines', label, routes.length, LINE_HEIGHT, (at) => line(routes[at], worst), redraw);
}

function line({ name, held, active, slots, instances, starting }, worst) {
  const severity = worst.get(name);
  return {
    key: name,
    look: severity === undefined ? 'line' : `line ${severity}`,
    children: [
      h('a', { href: routeAddress(name), text: routeName(name) }),
      h('span', { class: held > 0 ? 'number waiting' : 'number quiet', text: `${number(held)} held` }),
      h('span', { class: 'number', text: `${number(active)} / ${number(slots)} busy` }),
      h('span', { class: 'number', text: counted(instances.length, 'instance') }),
      h('span', { class: starting > 0 ? 'number waiting' : 'number quiet', text: starting > 0 ? `${number(starting)} starting` : '' }),
    ],
  };
}
