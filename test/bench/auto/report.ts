/** What was found: a table, and for each application a picture of the limit over time and of the best one. */
import type { CaseResult } from './result.ts';

const WIDTH = 760;
const HEIGHT = 150;
const LEFT = 44;
const TOP = 34;
const PLOT_WIDTH = WIDTH - LEFT - 16;
const PLOT_HEIGHT = HEIGHT - 46;

export function table(results: readonly CaseResult[]): string {
  const rows = results.flatMap(({ name, phases, refused }) =>
    phases.map(({ phase, tried, best, auto, settledMs }) => {
      const fixed = [...tried].map(([limit, { goodput, insideMs }]) => `${limit}: ${goodput.toFixed(0)}/s, ${insideMs.toFixed(0)} ms`);
      const workers = phases.length > 1 ? `${name} (${phase.workers})` : name;
      const settled = settledMs === null ? 'never' : `${settledMs / 1_000} s`;
      const ratios = `${(auto.goodput / best.goodput).toFixed(2)} | ${(auto.insideMs / best.insideMs).toFixed(2)}`;
      return `| ${workers} | ${fixed.join('<br>')} | ${best.limit} | ${ratios} | ${settled} | ${refused} |`;
    }),
  );
  return [
    '| application | fixed limits: goodput, time inside | best | goodput of auto | its time inside | settled after | refused |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

export function picture({ name, phases, limits }: CaseResult): string {
  const ms = phases.reduce((sum, { phase }) => sum + phase.seconds * 1_000, 0);
  const most = Math.max(...limits.map(([, limit]) => limit), ...phases.map(({ best }) => best.limit));
  const x = (at: number): string => (LEFT + (PLOT_WIDTH * Math.min(at, ms)) / ms).toFixed(1);
  const y = (limit: number): string => (TOP + PLOT_HEIGHT * (1 - limit / most)).toFixed(1);
  const line = limits.map(([at, limit], i) => (i === 0 ? `M${x(at)} ${y(limit)}` : `H${x(at)}V${y(limit)}`)).join('');
  const best = phases.map(
    ({ fromMs, phase, best: { limit } }) =>
      `<path d="M${x(fromMs)} ${y(limit)}H${x(fromMs + phase.seconds * 1_000)}" stroke="#b8621b" stroke-dasharray="5 4" fill="none"/>`,
  );
  const seconds = Array.from({ length: Math.floor(ms / 5_000) + 1 }, (_, i) => i * 5);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">`,
    '<title>The limit that auto finds, over time</title>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="20" font-weight="600" fill="#1a1a1a">${name}</text>`,
    `<path d="M${LEFT} ${TOP}V${TOP + PLOT_HEIGHT}H${LEFT + PLOT_WIDTH}" stroke="#999999" fill="none"/>`,
    ...[0, most].map((limit) => `<text x="${LEFT - 6}" y="${Number(y(limit)) + 4}" text-anchor="end" fill="#555555">${limit}</text>`),
    ...seconds.map(
      (at) => `<text x="${x(at * 1_000)}" y="${TOP + PLOT_HEIGHT + 14}" text-anchor="middle" fill="#555555" font-size="10">${at} s</text>`,
    ),
    ...best,
    `<path d="${line}" stroke="#2b5f9e" stroke-width="1.5" fill="none"/>`,
    '</svg>',
    '',
  ].join('\n');
}
