/** The page at `/`: draws what /api/v1/events says. */
import { forget, kept } from './calls.js';
import { chart } from './charts.js';
import { byId, h, input, isTyping, show } from './dom.js';
import { follow } from './feed.js';
import { jobList } from './job-list.js';
import { nodes } from './nodes.js';
import { routes } from './routes.js';
import { editSettings } from './settings.js';
import { readTimeline, timeline } from './timeline.js';
import { serious, troubles } from './troubles.js';
import { number } from './words.js';

/** Fewer are seen at a glance. */
const FILTER_FROM = 7;

let latest = null;
const filter = input('filter');

follow((state) => {
  latest = state;
  chart(state);
  void readTimeline(state, draw);
  draw();
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
  const count = serious(state);
  document.title = count === 0 ? 'pullproxy' : `(${count}) pullproxy`;
  show(byId('seen-by'), state.node === null ? '' : `seen by ${state.node}`);
  show(byId('now'), ...troubles(state));
  show(byId('totals'), ...totals(state));
  filter.hidden = state.routes.length < FILTER_FROM;
  show(byId('routes'), ...routes(state, filter.hidden ? '' : filter.value.trim().toLowerCase(), draw));
  show(byId('nodes'), nodes(state));
  show(byId('jobs'), ...jobs(state));
  show(byId('timeline'), ...timeline(state.at, draw));
  byId('forget-token').hidden = kept() === null;
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

function jobs({ jobs: all, startedBy, at }) {
  if (all.length > 0) return [jobList(all, at)];
  const text =
    startedBy === 'nobody'
      ? 'None: this node has no Redis, so nothing starts instances.'
      : 'None yet: the first client that waits orders one.';
  return [h('p', { class: 'card quiet', text })];
}
