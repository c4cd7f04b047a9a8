/** The page at `/`: draws what /api/v1/events says. */
import { forget, kept } from './calls.js';
import { chart } from './charts.js';
import { byId, h, input, isTyping, show } from './dom.js';
import { follow } from './feed.js';
import { jobList } from './job-list.js';
import { nodes } from './nodes.js';
import { pageOf } from './pages.js';
import { ORDERS } from './route-list.js';
import { instancesAt, routePage, routes } from './routes.js';
import { editSettings } from './settings.js';
import { happened, notTold, timeline } from './timeline.js';
import { serious, troubles } from './troubles.js';
import { number, startRate } from './words.js';

/** Fewer are seen at a glance. */
const FILTER_FROM = 7;

let latest = null;
const filter = input('filter');
const sort = input('sort');
show(sort, ...Object.entries(ORDERS).map(([value, text]) => h('option', { value, text })));
sort.addEventListener('change', draw);
window.addEventListener('hashchange', () => {
  draw();
  window.scrollTo(0, 0);
});

follow({
  onState(state) {
    latest = state;
    draw();
  },
  onEvents: happened,
  onUntold: notTold,
});

filter.addEventListener('input', draw);
byId('add-route').addEventListener('click', () => void editSettings(null));
byId('forget-token').addEventListener('click', () => {
  forget();
  draw();
});
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || filter.hidden || isTyping(event)) return;
  event.preventDefault();
  filter.focus();
});

function draw() {
  if (latest === null) return;
  const state = latest;
  const page = pageOf(location.hash);
  const count = serious(state);
  const title = page === null ? 'pullproxy' : `${page.name} · pullproxy`;
  document.title = count === 0 ? title : `(${count}) ${title}`;
  show(byId('seen-by'), state.node === null ? '' : `seen by ${state.node}`);
  for (const id of ['totals', 'jobs-part']) byId(id).hidden = page !== null;
  byId('charts').hidden = page?.kind === 'node';
  if (page?.kind !== 'node') chart(page?.name ?? null);
  byId('nodes-part').hidden = page?.kind === 'route';
  byId('place').hidden = page === null;
  if (page === null) overview(state);
  else about(state, page);
  show(byId('timeline'), ...timeline(state.at, draw, page?.name ?? null));
  byId('forget-token').hidden = kept() === null;
}

function overview(state) {
  show(byId('now'), ...troubles(state));
  show(byId('totals'), ...totals(state));
  filter.hidden = state.routes.length < FILTER_FROM;
  sort.hidden = filter.hidden;
  byId('add-route').hidden = false;
  show(byId('routes'), ...routes(state, filter.hidden ? '' : filter.value.trim().toLowerCase(), sort.value, draw));
  show(byId('nodes'), nodes(state));
  show(byId('jobs'), ...jobs(state));
}

/** One route or one node, with what is wrong there. */
function about(state, { kind, name }) {
  const own = state.troubles.filter((trouble) => trouble[kind] === name);
  filter.hidden = true;
  sort.hidden = true;
  byId('add-route').hidden = true;
  show(byId('place'), h('a', { href: '#', text: 'Overview' }), ` › ${kind} ${name}`);
  show(byId('now'), ...troubles({ ...state, troubles: own }));
  show(byId('routes'), kind === 'route' ? routePage(state, name, draw) : instancesAt(state, name, draw));
  if (kind === 'node') show(byId('nodes'), nodes({ ...state, nodes: state.nodes.filter(({ id }) => id === name) }));
}

function totals({ routes: all, nodes: running }) {
  const sum = (read) => all.reduce((total, route) => total + read(route), 0);
  const held = sum((route) => route.held);
  const starting = sum((route) => route.starting);
  return [
    total('held', number(held), held > 0 ? 'waiting' : ''),
    total('busy slots', `${number(sum((route) => route.active))} / ${number(sum((route) => route.slots))}`),
    total('instances', number(sum((route) => route.instances.length))),
    total('starting', number(starting), starting > 0 ? 'waiting' : ''),
    total('nodes', number(running.length)),
  ];
}

function total(name, value, look = '') {
  return h('div', { key: name, class: 'card' }, h('dt', { text: name }), h('dd', { class: look, text: value }));
}

function jobs({ jobs: all, startedBy, scalers, startRate: rate, at }) {
  const pace = scalers === 0 ? '' : startRate(rate);
  const said = pace === '' ? [] : [h('p', { key: 'rate', class: 'quiet', text: pace })];
  if (all.length > 0) return [...said, jobList(all, at)];
  const text =
    startedBy === 'nobody'
      ? 'None: this node has no Redis, so nothing starts instances.'
      : 'None yet: the first client that waits orders one.';
  return [...said, h('p', { class: 'card quiet', text })];
}
