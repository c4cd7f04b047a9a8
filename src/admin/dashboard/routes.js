/** Routes with their instances, newest first, and the starts that are under way. */
import { agentFacts, agentList } from './agent-list.js';
import { attempt, call, Refused } from './calls.js';
import { confirm, toast } from './dialogs.js';
import { h } from './dom.js';
import { keyList } from './key-list.js';
import { nodeAddress, routeAddress } from './pages.js';
import { ordered, routeLines } from './route-list.js';
import { editSettings } from './settings.js';
import { anchorOf } from './troubles.js';
import { windowed } from './windowed.js';
import { age, counted, number, routeName } from './words.js';

/** More are lines that lead to the pages of routes. */
const CARDS_MAX = 20;
/** More are lines of which only those that are seen are drawn. */
const ROWS_MAX = 60;
const LINE_HEIGHT = 34;
const INSTANCES_SHOWN = 8;
/** Beyond so many slots a bar has no marks. */
const MARKS_MAX = 40;

const opened = new Set();

/**
 * @param {string} wanted a part of the names to be shown
 * @param {string} order one of `ORDERS`
 */
export function routes(state, wanted, order, redraw) {
  const { routes: all, troubles } = state;
  if (all.length === 0) {
    return [
      h('p', { key: 'none', class: 'card quiet', text: 'None yet: a route appears with its first linker, or when it is added here.' }),
    ];
  }
  const fitting = all.filter(({ name }) => name.includes(wanted));
  if (fitting.length === 0) return [h('p', { key: 'none', class: 'card quiet', text: `No route has "${wanted}" in its name.` })];
  const sorted = ordered(fitting, troubles, order);
  return sorted.length > CARDS_MAX ? [routeLines(sorted, troubles, redraw)] : sorted.map((one) => route(one, state, redraw));
}

/** The page of one route. */
export function routePage(state, name, redraw) {
  const one = state.routes.find((known) => known.name === name);
  return one === undefined
    ? h('p', { key: 'none', class: 'card quiet', text: `There is no route ${name}.` })
    : route(one, state, redraw, true);
}

/** Instances whose home is the node. */
export function instancesAt(state, node, redraw) {
  const rows = state.routes.flatMap(({ name, instances: all }) => all.filter((one) => one.node === node).map((one) => ({ ...one, name })));
  if (rows.length === 0) return h('p', { key: 'none', class: 'card quiet', text: 'No instance has its home there.' });
  return windowed(
    'instances-at',
    counted(rows.length, 'instance'),
    rows.length,
    LINE_HEIGHT,
    (at) => instanceLine(rows[at], state.at),
    redraw,
  );
}

function route(one, { at, startedBy, routeDefaults }, redraw, isPage = false) {
  const { name, settings } = one;
  const pause = h('button', {
    type: 'button',
    text: one.paused === null ? 'Pause' : 'Resume',
    'aria-label': `${one.paused === null ? 'Pause' : 'Resume'} ${name}`,
    onclick: () => void (one.paused === null ? pauseRoute(name) : resumeRoute(name)),
  });
  const settled = h('button', {
    type: 'button',
    text: 'Settings',
    'aria-label': `Settings of ${name}`,
    onclick: () => void editSettings(name),
  });
  const start = h('button', {
    type: 'button',
    text: 'Start one more',
    'aria-label': `Start one more instance of ${name}`,
    onclick: () => void attempt(`One more instance of ${name} was asked for.`, 'POST', `api/v1/routes/${encodeURIComponent(name)}/start`),
  });
  const restart = h('button', {
    type: 'button',
    text: 'Replace all',
    'aria-label': `Replace all instances of ${name}`,
    onclick: () => void replaceAll(name),
  });
  return h(
    'article',
    { key: name, id: anchorOf(name), class: 'card route' },
    h(
      'div',
      { class: 'route-head' },
      h('h3', {}, h('a', { href: routeAddress(name), text: routeName(name) })),
      settings === null && h('span', { class: 'tag', title: 'It has no settings of its own', text: 'defaults' }),
      h('span', { class: 'spring' }),
      pause,
      startedBy !== 'nobody' && start,
      startedBy !== 'nobody' && one.instances.length > 0 && restart,
      settled,
    ),
    facts(one, routeDefaults),
    agentList(one, isPage),
    keyList(one, redraw, isPage),
    instances(one, at, startedBy, redraw, isPage),
  );
}

async function pauseRoute(name) {
  const text =
    'All its clients are held, and get slots when it is resumed, or after a minute by itself. Nothing is started and nothing retires meanwhile.';
  if ((await confirm(`Pause ${name}?`, text, 'Pause')) === null) return;
  try {
    const outcome = await call('POST', `api/v1/routes/${encodeURIComponent(name)}/pause?for=60s&wait=10s`);
    if (outcome === null) return;
    const still = outcome.still.reduce((sum, { count }) => sum + count, 0);
    if (outcome.done) toast('good', `${name} is paused, and nothing is in flight.`);
    else toast('bad', `${name} is paused, and ${counted(still, 'request')} still in flight after 10 s.`);
  } catch (error) {
    toast('bad', error instanceof Refused ? error.message : 'The node does not answer.');
  }
}

async function resumeRoute(name) {
  await attempt(`${name} goes on.`, 'POST', `api/v1/routes/${encodeURIComponent(name)}/resume`);
}

async function replaceAll(name) {
  const text = 'By newer ones, as many as the load needs. The ones that are there serve until those are ready, then go idle and leave.';
  if ((await confirm(`Replace all instances of ${name}?`, text, 'Replace')) === null) return;
  await attempt(`The instances of ${name} are being replaced.`, 'POST', `api/v1/routes/${encodeURIComponent(name)}/restart`);
}

function facts(route, defaults) {
  const { paused, overload, held, oldestHeldMs, waitMs, active, slots, free, starting, instances: there, settings, agents } = route;
  const most = settings?.maxInstances ?? defaults.maxInstances;
  return h(
    'ul',
    { class: 'facts' },
    paused !== null &&
      h('li', {
        class: 'waiting',
        text: `paused for ${age(paused.leftMs)} more${paused.inFlight === 0 ? '' : `, ${number(paused.inFlight)} in flight`}`,
      }),
    paused === null &&
      overload !== null &&
      h('li', { class: 'waiting', text: `overloaded: nobody waits for longer than ${age(overload.waitMs)}` }),
    h('li', {
      class: held > 0 ? 'waiting' : '',
      text: held > 0 ? `${number(held)} held${oldestHeldMs < 100 ? '' : `, the oldest for ${age(oldestHeldMs)}`}` : 'nobody held',
    }),
    waitMs !== null && waitMs >= 100 && h('li', { text: `a client that comes now waits for about ${age(waitMs)}` }),
    h('li', { text: `${number(active)} active` }),
    h('li', { text: `${number(free)} of ${counted(slots, 'slot')} free` }),
    h('li', {
      text: `${counted(there.length, 'instance')} of at most ${number(most)}${settings?.key === undefined ? '' : ' for each key'}`,
    }),
    starting > 0 && h('li', { class: 'waiting', text: `${number(starting)} starting` }),
    agentFacts(agents),
  );
}

function instances({ name, instances: all, starts, trouble }, at, startedBy, redraw, isPage) {
  if (all.length + starts.length === 0) return h('p', { class: 'quiet', text: noInstance(trouble, startedBy) });
  if (all.length > ROWS_MAX) return manyInstances(name, all, at, redraw, isPage);
  const newest = all.find(({ state }) => state === 'ready')?.id;
  const rows = [...starts.map(start), ...all.toSorted((a, b) => b.seq - a.seq).map((one) => instance(one, at, one.id === newest))];
  const shown = opened.has(name) ? rows : rows.slice(0, INSTANCES_SHOWN);
  const toggle = () => {
    if (!opened.delete(name)) opened.add(name);
    redraw();
  };
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'instances' },
      h('thead', {}, h('tr', {}, ...['Instance', 'Node', 'Age', 'Busy slots'].map((text) => h('th', { scope: 'col', text })))),
      h('tbody', {}, ...shown),
    ),
    rows.length > INSTANCES_SHOWN &&
      h('button', { type: 'button', class: 'link', text: opened.has(name) ? 'Show fewer' : `Show all ${rows.length}`, onclick: toggle }),
  );
}

/** So many are on the route's own page only. */
function manyInstances(name, all, at, redraw, isPage) {
  if (!isPage) return h('p', {}, h('a', { href: routeAddress(name), text: `Show all ${number(all.length)}` }));
  const sorted = all.toSorted((a, b) => b.seq - a.seq);
  const line = (index) => instanceLine({ ...sorted[index], name: '' }, at);
  return windowed(`instances ${name}`, counted(all.length, 'instance'), sorted.length, LINE_HEIGHT, line, redraw);
}

function instanceLine({ id, name, key, node, seq, active, concurrency, state }, at) {
  return {
    key: id,
    look: state === 'ready' ? 'line' : 'line waiting',
    children: [
      h('code', { text: id }),
      name === '' ? h('a', { href: nodeAddress(node), text: node }) : h('a', { href: routeAddress(name), text: name }),
      h('span', { class: 'quiet', text: [key ?? '', state === 'ready' ? '' : state].join(' ').trim() }),
      h('span', { class: 'number', text: age(at - seq) }),
      h('span', { class: 'number', text: `${number(active)} / ${number(concurrency)} busy` }),
    ],
  };
}

function noInstance(trouble, startedBy) {
  if (trouble !== null) return `No instance: ${counted(trouble.failures, 'start')} failed.`;
  return startedBy === 'nobody' ? 'No instance is linked.' : 'No instance. One is started when a client comes.';
}

function start({ id, ageMs, leftMs }) {
  return h(
    'tr',
    { key: `start ${id}`, class: 'starting' },
    h('td', {}, h('code', { text: id })),
    h('td', {}, h('span', { class: 'tag waiting', text: 'starting' })),
    h('td', { class: 'number', text: age(ageMs) }),
    h('td', { class: 'quiet', text: `given up in ${age(leftMs)}` }),
  );
}

function instance({ id, key, seq, concurrency, setBy, active, node, state, version }, at, isNewest) {
  return h(
    'tr',
    { key: id, class: state },
    h(
      'td',
      {},
      h('code', { text: id }),
      key !== undefined && ' ',
      key !== undefined && h('span', { class: 'tag', title: 'Its key', text: key }),
      isNewest && ' ',
      isNewest && h('span', { class: 'tag', text: 'newest' }),
      state !== 'ready' && ' ',
      state !== 'ready' && h('span', { class: 'tag waiting', text: state }),
      version !== undefined && ' ',
      version !== undefined && h('span', { class: 'quiet', title: 'Version of its linker', text: version }),
    ),
    h('td', {}, h('a', { href: nodeAddress(node), text: node })),
    h('td', { class: 'number', text: age(at - seq) }),
    h('td', {}, bar(active, concurrency, setBy)),
  );
}

function bar(active, concurrency, setBy) {
  const share = concurrency === 0 ? 0 : Math.min(1, active / concurrency);
  return h(
    'div',
    { class: 'busy' },
    h(
      'div',
      {
        class: concurrency <= MARKS_MAX ? 'bar marked' : 'bar',
        role: 'img',
        'aria-label': `${active} of ${concurrency} slots busy`,
        style: { '--slots': String(concurrency), '--share': String(share) },
      },
      h('i'),
    ),
    h('span', { class: 'number', text: `${number(active)} / ${number(concurrency)}`, title: setBy ? `limit set by: ${setBy}` : '' }),
  );
}
