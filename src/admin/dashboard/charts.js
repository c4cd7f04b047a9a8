/** Charts of the last minutes: a point with each state that came since the page was opened. */
import { byId, h, show } from './dom.js';
import { brief, clock, number } from './words.js';

/** The script that the page loads before this one. */
const { uPlot } = /** @type {any} */ (window);

const POINTS_MAX = 300;
/** So few minutes are shown at least, in s: one that begins with the page's opening would race. */
const SPAN_MIN = 60;

const whole = (value) => (value === null ? '–' : number(value));
const wait = (value) => (value === null ? 'none' : brief(value));
const sum = (routes, read) => routes.reduce((total, route) => total + read(route), 0);

/** @type {{ id: string, title: string, say: (value: number | null) => string, logarithmic?: boolean, series: { name: string, color: string, filled?: boolean, dashed?: boolean, read: (state: any) => number | null }[] }[]} */
const CHARTS = [
  {
    id: 'held',
    title: 'Clients held',
    say: whole,
    series: [{ name: 'held', color: '--waiting', filled: true, read: ({ routes }) => sum(routes, ({ held }) => held) }],
  },
  {
    id: 'active',
    title: 'Slots',
    say: whole,
    series: [
      { name: 'busy', color: '--accent', filled: true, read: ({ routes }) => sum(routes, ({ active }) => active) },
      { name: 'all', color: '--quiet', dashed: true, read: ({ routes }) => sum(routes, ({ slots }) => slots) },
    ],
  },
  {
    id: 'waits',
    title: 'Time held',
    say: wait,
    logarithmic: true,
    series: [
      { name: '50 %', color: '--good', read: ({ waits }) => waits.holds.p50Ms },
      { name: '99 %', color: '--waiting', read: ({ waits }) => waits.holds.p99Ms },
    ],
  },
  {
    id: 'cold-starts',
    title: 'Cold starts',
    say: wait,
    logarithmic: true,
    series: [
      { name: '50 %', color: '--good', read: ({ waits }) => waits.coldStarts.p50Ms },
      { name: '99 %', color: '--waiting', read: ({ waits }) => waits.coldStarts.p99Ms },
    ],
  },
];

const times = [];
const columns = new Map(CHARTS.flatMap(({ series }) => series).map((one) => [one, []]));
let plots = null;
/** The point that the pointer is at. */
let at = null;

export function chart(state) {
  times.push(state.at / 1000);
  for (const [one, values] of columns) values.push(one.read(state));
  if (times.length > POINTS_MAX) for (const values of [times, ...columns.values()]) values.shift();
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
      x: { range: (_, min, max) => [Math.min(min ?? 0, (max ?? 0) - SPAN_MIN), max ?? 0] },
      y: logarithmic
        ? {
            distr: 3,
            range: (_, min, max) =>
              max === null || max === undefined ? [1, 1000] : [10 ** Math.floor(Math.log10(min)), 10 ** Math.ceil(Math.log10(max * 1.01))],
          }
        : { range: (_, __, max) => [0, Math.max(4, (max ?? 0) * 1.08)] },
    },
    axes: [
      { ...axis, size: 22, space: 60, values: (_, splits, __, ___, stepSeconds) => splits.map((seconds) => moment(seconds, stepSeconds)) },
      {
        ...axis,
        size: 46,
        space: 26,
        // A logarithmic scale shows the decades only.
        ...(logarithmic ? { filter: decades, grid: { ...grid, filter: decades } } : {}),
        incrs: logarithmic ? undefined : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000],
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
  return say === whole && value >= 10_000 ? `${value / 1000}k` : say(value);
}

function size(room) {
  return { width: Math.max(120, room.clientWidth), height: 118 };
}

/** The colours are registered as such in the style sheet, so this is one that a canvas knows, for the theme that holds now. */
function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}
