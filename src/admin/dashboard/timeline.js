/** The timeline, newest first: events come by themselves, with the states. */
import { h } from './dom.js';
import { routeAddress } from './pages.js';
import { clock, counted } from './words.js';

const KEPT_MAX = 1_000;
const SHOWN_MAX = 200;
const FIRST_SHOWN = 12;
const DAY_MS = 24 * 3_600_000;

const events = new Map();
/** Events that a node could not tell Redis yet. */
let untold = [];
let shownMax = FIRST_SHOWN;

/** They may come twice: when the connection was lost meanwhile. */
export function happened(more) {
  for (const event of more) events.set(event.id, event);
  for (const id of events.keys()) {
    if (events.size <= KEPT_MAX) return;
    events.delete(id);
  }
}

export function notTold(all) {
  untold = all;
}

/** `about`: only events of that route or node. */
export function timeline(at, changed, about = null) {
  const known = [...events.values(), ...untold];
  const all = known.filter(({ route, node, source }) => about === null || [route, node, source].includes(about)).toReversed();
  if (all.length === 0) return [h('p', { class: 'card quiet', text: 'Nothing yet.' })];
  const more = () => {
    shownMax = shownMax === FIRST_SHOWN ? SHOWN_MAX : FIRST_SHOWN;
    changed();
  };
  return [
    h(
      'ol',
      { class: 'card timeline' },
      all.slice(0, shownMax).map((event) => line(event, at)),
    ),
    ...(all.length > FIRST_SHOWN
      ? [
          h('button', {
            type: 'button',
            class: 'more',
            text: shownMax === FIRST_SHOWN ? `Show ${Math.min(all.length, SHOWN_MAX)}` : 'Show fewer',
            onclick: more,
          }),
        ]
      : []),
  ];
}

function line({ id, at, level, source, route, text, advice, count }, now) {
  const moment = now - at > DAY_MS ? new Date(at).toLocaleString() : clock(at);
  return h(
    'li',
    { key: id, class: level, title: advice },
    h('time', { datetime: new Date(at).toISOString(), text: moment }),
    h('b', { text: source }),
    route !== null && h('a', { href: routeAddress(route), text: route }),
    h('span', { text: count > 1 ? `${text} (${counted(count, 'time')})` : text }),
  );
}
