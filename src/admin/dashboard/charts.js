/** Charts of the last hour: a point for each half minute, from the cluster. */
import { call } from './calls.js';
import { byId, h, show } from './dom.js';
import { brief, clock, number } from './words.js';

/** The script that the page loads before this one. */
const { uPlot } = /** @type {any} */ (window);

/** They show an hour, in s. */
const SPAN = 3_600;
/** Nodes write what they count every ten seconds. */
const EVERY_MS = 5_000;

const whole = (value) => (value === null ? '–' : number(value));
const rate = (value) => (value === null ? '–' : value < 10 ? String(Math.round(value * 100) / 100) : number(Math.round(value)));
const wait = (value) => (value === null ? 'none' : brief(value));
const perSecond = (count, { ms }) => (ms === 0 ? 0 : (1000 * count) / ms);

/** @type {{ id: string, title: string, say: (value: number | null) => string, logarithmic?: boolean, series: { name: string, color: string, filled?: boolean, dashed?: boolean, read: (point: any) => number | null }[] }[]} */
const CHARTS = [
  {
    id: 'requests',
    title: 'Requests a second',
    say: rate,
    series: [{ name: 'all', color: '--accent', filled: true, read: (point) => point.perSecond }],
  },
  {
    id: 'errors',
    title: 'Errors a second',
    say: rate,
    series: [
      { name: '5xx', color: '--bad', filled: true, read: (point) => perSecond(point.responses['5xx'], point) },
      { name: '4xx', color: '--waiting', read: (point) => perSecond(point.responses['4xx'], point) },
    ],
  },
  {
    id: 'times',
    title: 'Response time',
    say: wait,
    logarithmic: true,
    series: [
      { name: '50 %', color: '--good', read: (point) => point.p50Ms },
      { name: '99 %', color: '--waiting', read: (point) => point.p99Ms },
    ],
  },
  {
    id: 'active',
    title: 'Slots',
    say: whole,
    series: [
      { name: 'busy', color: '--accent', filled: true, read: (point) => point.active },
      { name: 'all', color: '--quiet', dashed: true, read: (point) => point.slots },
    ],
  },
  {
    id: 'held',
    title: 'Clients held',
    say: whole,
    series: [{ name: 'held', color: '--waiting', filled: true, read: (point) => point.held }],
  },
  {
    id: 'waits',
    title: 'Time held',
    say: wait,
    logarithmic: true,
    series: [
      { name: '50 %', color: '--good', read: (point) => point.holdP50Ms },
      { name: '99 %', color: '--waiting', read: (point) => point.holdP99Ms },
    ],
  },
  {
    id: 'cold-starts',
    title: 'Cold starts',
    say: whole,
    series: [{ name: 'clients', color: '--waiting', filled: true, read: (point) => point.coldStarts }],
  },
  {
    id: 'cold-start-times',
    title: 'Time of cold starts',
    say: wait,
    logarithmic: true,
    series: [
      { name: '50 %', color: '--good', read: (point) => point.coldStartP50Ms },
      { name: '99 %', color: '--waiting', read: (point) => point.coldStartP99Ms },
    ],
  },
];

let times = [];
let columns = new Map(CHARTS.flatMap(({ series }) => series).map((one) => [one, []]));
let plots = null;
/** The point that the pointer is at. */
let at = null;
/** The route whose history is shown or asked for; null: all. */
let shown = null;
let asked = 0;

/** Shows the last hour of a route, or of all (null), as the cluster has it: at once, and then every few seconds. */
export function chart(route) {
  const now = performance.now();
  if (route === shown && plots !== null && now - asked < EVERY_MS) return;
  if (route !== shown || plots === null) fill({ bucketMs: 30_000, now: Date.now(), points: [], route });
  shown = route;
  asked = now;
  void read(route);
}

async function read(route) {
  try {
    const history = await call('GET', `api/v1/history${route === null ? '' : `?route=${encodeURIComponent(route)}`}`);
    if (history !== null && route === shown) fill(history);
  } catch {
    // While Redis is away the last one stays.
  }
}

/** A bucket that no node has written: nobody was there. At a route nothing happened. */
function fill({ bucketMs, now, points, route }) {
  const empty = route === null ? null : 0;
  const known = new Map(points.map((point) => [point.at, point]));
  const last = Math.floor(now / bucketMs) * bucketMs;
  const count = (SPAN * 1000) / bucketMs;
  const moments = Array.from({ length: count }, (_, i) => last - (count - 1 - i) * bucketMs);
  // The running bucket has nothing in its first seconds.
  if (!known.has(last)) moments.pop();
  times = moments.map((ms) => ms / 1000);
  columns = new Map(
    CHARTS.flatMap(({ series, logarithmic }) =>
      series.map((one) => [one, moments.map((ms) => (known.has(ms) ? one.read(known.get(ms)) : logarithmic ? null : empty))]),
    ),
  );
  plots ??= build();
  for (const { plot, series } of plots) plot.setData([times, ...series.map((one) => columns.get(one))]);
  captions();
}

function build() {
  show(
    byId('charts'),
    ...CHARTS.map(({ id }) =>
      h(
        'figure',
        { key: id, class: 'card' },
        h('figcaption', { id: `${id}-caption` }),
        h('div', { id: `${id}-plot`, 'aria-hidden': 'true' }),
      ),
    ),
  );
  const built = CHARTS.map((one) => {
    const room = byId(`${one.id}-plot`);
    const plot = new uPlot(options(one, room), [times, ...one.series.map((series) => columns.get(series))], room);
    new ResizeObserver(() => plot.setSize(size(room))).observe(room);
    return { ...one, plot };
  });
  const redraw = () => {
    for (const { plot } of built) plot.redraw(false);
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  return built;
}

function options({ series, say, logarithmic = false }, room) {
  const grid = { stroke: () => color('--line'), width: 1 };
  const axis = { stroke: () => color('--quiet'), font: '11px system-ui, sans-serif', grid, ticks: { show: false } };
  return {
    ...size(room),
    legend: { show: false },
    padding: [6, 16, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'pullproxy' }, points: { size: 5 } },
    scales: {
      x: { range: (_, __, max) => [(max ?? SPAN) - SPAN, max ?? SPAN] },
      y: logarithmic
        ? {
            distr: 3,
            range: (_, min, max) =>
              max === null || max === undefined ? [1, 1000] : [10 ** Math.floor(Math.log10(min)), 10 ** Math.ceil(Math.log10(max * 1.01))],
          }
        : { range: (_, __, max) => [0, Math.max(say === rate ? 0.2 : 4, (max ?? 0) * 1.08)] },
    },
    axes: [
      { ...axis, size: 22, space: 60, values: (_, splits, __, ___, stepSeconds) => splits.map((seconds) => moment(seconds, stepSeconds)) },
      {
        ...axis,
        size: 46,
        space: 26,
        // A logarithmic scale shows the decades only.
        ...(logarithmic ? { filter: decades, grid: { ...grid, filter: decades } } : {}),
        incrs: logarithmic
          ? undefined
          : [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000],
        values: (_, splits) => splits.map((value) => (value === null ? null : short(value, say))),
      },
    ],
    series: [
      {},
      ...series.map((one) => ({
        stroke: () => color(one.color),
        fill: one.filled ? () => color(one.color).replace(/^rgb\((.*)\)$/, 'rgb($1, 0.16)') : undefined,
        dash: one.dashed ? [4, 4] : undefined,
        width: 1.5,
        points: { show: logarithmic, size: 3 },
      })),
    ],
    hooks: {
      setCursor: [
        ({ cursor }) => {
          at = cursor.idx ?? null;
          captions();
        },
      ],
    },
  };
}

function decades(_, splits) {
  return splits.map((value) => (Math.abs(Math.log10(value) % 1) < 1e-6 ? value : null));
}

function captions() {
  const index = at === null || at >= times.length ? times.length - 1 : at;
  for (const { id, title, say, series } of CHARTS) {
    const moment = at === null ? '' : ` at ${clock(times[index] * 1000)}`;
    show(
      byId(`${id}-caption`),
      h('b', { text: title }),
      ...series.map((one) =>
        h(
          'span',
          { class: 'reading', style: { '--color': `var(${one.color})` } },
          `${one.name} `,
          h('strong', { text: say(columns.get(one)[index] ?? null) }),
        ),
      ),
      h('span', { class: 'quiet', text: moment }),
    );
  }
}

function moment(seconds, stepSeconds) {
  return clock(seconds * 1000).slice(0, stepSeconds < 60 ? 8 : 5);
}

/** Ticks of thousands take less room. */
function short(value, say) {
  return say !== wait && value >= 10_000 ? `${value / 1000}k` : say(value);
}

function size(room) {
  return { width: Math.max(120, room.clientWidth), height: 118 };
}

/** The colours are registered as such in the style sheet, so this is one that a canvas knows, for the theme that holds now. */
function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}
