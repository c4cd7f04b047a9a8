/** The ratios as a picture: one bar for each comparison, and a line where both are alike. */
import type { Comparison } from '../rounds.ts';
import { isComparison, type Report } from './table.ts';

const TITLE = 'pullproxy against two chained HAProxy processes (1.00: the same)';
const BAR_HEIGHT = 18;
const ROW_HEIGHT = 26;
const LABEL_WIDTH = 360;
const PLOT_WIDTH = 420;
const TOP = 46;
/** Longer bars are cut there. */
const RATIO_MAX = 2;

interface Bar {
  readonly label: string;
  readonly ratio: number;
  readonly better: boolean;
}

/** An SVG of its own, readable on light and dark pages. */
export function chart({ results, date, machine }: Report): string {
  const bars = results.filter(isComparison).flatMap(barsOf);
  const height = TOP + bars.length * ROW_HEIGHT + 10;
  const width = LABEL_WIDTH + PLOT_WIDTH + 70;
  const even = x(1);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    `<title>${TITLE}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="12" y="20" font-weight="600" fill="#1a1a1a">${TITLE}</text>`,
    `<text x="12" y="37" fill="#555555" font-size="11">${escaped(`${date}, ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}`)}</text>`,
    ...bars.map(({ label, ratio, better }, i) => {
      const y = TOP + i * ROW_HEIGHT;
      const end = x(Math.min(ratio, RATIO_MAX));
      return (
        `<text x="${LABEL_WIDTH - 10}" y="${y + 13}" text-anchor="end" fill="#1a1a1a">${escaped(label)}</text>` +
        `<rect x="${LABEL_WIDTH}" y="${y}" width="${end - LABEL_WIDTH}" height="${BAR_HEIGHT}" rx="2" fill="${better ? '#2b7a4b' : '#b8621b'}"/>` +
        `<text x="${end + 6}" y="${y + 13}" fill="#1a1a1a">${ratio.toFixed(2)}</text>`
      );
    }),
    `<line x1="${even}" y1="${TOP - 4}" x2="${even}" y2="${height - 8}" stroke="#1a1a1a" stroke-dasharray="3 3"/>`,
    '</svg>',
    '',
  ].join('\n');
}

/** Only what is compared with the chain: other ratios mean something else each. */
function barsOf({ suite, name, unit, ratios }: Comparison): Bar[] {
  const ratio = ratios.chain;
  if (ratio === undefined) return [];
  const isTime = unit === 'p99 ms';
  return [{ label: `${suite}, ${name}${isTime ? ', p99 (less is better)' : ''}`, ratio, better: isTime ? ratio <= 1 : ratio >= 1 }];
}

function x(ratio: number): number {
  return LABEL_WIDTH + (PLOT_WIDTH * ratio) / RATIO_MAX;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
