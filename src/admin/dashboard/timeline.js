/** What happened, newest first: read when there is something new. */
import { call } from './calls.js';
import { h } from './dom.js';
import { routeAddress } from './pages.js';
import { clock, counted } from './words.js';

const SHOWN_MAX = 200;
const FIRST_SHOWN = 12;
const DAY_MS = 24 * 3_600_000;

let events = [];
let last = null;
let reading = false;
let shownMax = FIRST_SHOWN;

/** Reads what came since, then calls `changed`. */
export async function readTimeline({ lastEvent }, changed) {
  if (lastEvent === null || lastEvent === last || reading) return;
  reading = true;
  try {
    const after = last === null ? '' : `&after=${encodeURIComponent(last)}`;
    const answer = await call('GET', `api/v1/timeline?max=${SHOWN_MAX}${after}`);
    if (answer === null) return;
    events = [...events, ...answer.events].slice(-SHOWN_MAX);
    last = lastEvent;
    changed();
  } catch {
    // The next state says that there is something new, too.
  } finally {
    reading = false;
  }
}

/** `about`: only events of that route or node. */
export function timeline(at, changed, about = null) {
  const all = events.filter(({ route, node, source }) => about === null || [route, node, source].includes(about)).toReversed();
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
            text: shownMax === FIRST_SHOWN ? `Show ${all.length}` : 'Show fewer',
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
