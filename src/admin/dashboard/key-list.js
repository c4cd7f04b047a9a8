/** Keys of a route that are awake, folded under it. */
import { h } from './dom.js';
import { routeAddress } from './pages.js';
import { windowed } from './windowed.js';
import { counted, number } from './words.js';

const LINE_HEIGHT = 34;
/** More are on the route's own page only. */
const SHOWN_MAX = 5;

export function keyList({ name, keys = [], keysAwake = 0 }, redraw, isPage) {
  if (keysAwake === 0) return false;
  const shown = isPage ? keys : keys.slice(0, SHOWN_MAX);
  const left = keysAwake - shown.length;
  return h(
    'section',
    { key: `keys of ${name}` },
    h('h4', { text: `${counted(keysAwake, 'key')} awake` }),
    windowed(`keys ${name}`, `Keys of ${name}`, shown.length, LINE_HEIGHT, (at) => line(shown[at]), redraw),
    left > 0 && !isPage && h('p', {}, h('a', { href: routeAddress(name), text: `Show ${number(left)} more` })),
    left > 0 && isPage && h('p', { class: 'quiet', text: `${number(left)} more hold fewer clients.` }),
  );
}

function line({ key, held, active, slots, starting, instances }) {
  return {
    key,
    look: held > 0 ? 'line waiting' : 'line',
    children: [
      h('code', { text: key }),
      h('span', { class: held > 0 ? 'number waiting' : 'number quiet', text: `${number(held)} held` }),
      h('span', { class: 'number', text: `${number(active)} / ${number(slots)} busy` }),
      h('span', { class: 'number', text: counted(instances, 'instance') }),
      h('span', { class: starting > 0 ? 'number waiting' : 'number quiet', text: starting > 0 ? `${number(starting)} starting` : '' }),
    ],
  };
}
