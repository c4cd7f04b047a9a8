/** Numbers as people read them. */
import type { StartRate } from '../scaling/startup-job.ts';

/** `1 client`, `10,000 clients`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

export function number(value: number): string {
  return value.toLocaleString('en-US');
}

/** An age or a wait, rounded: `0.4 s`, `12 s`, `3 min`, `2 h`, `5 days`. */
export function about(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  if (seconds < 7_170) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3_600) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** `50 starts a second`. */
export function startRateText({ perSecond, fixed }: StartRate): string {
  const rounded = Number(perSecond.toFixed(perSecond < 10 ? 1 : 0));
  return fixed ? `${counted(rounded, 'job')} a second (--rate)` : `${counted(rounded, 'start')} a second`;
}

/** The first line, cut to `charsMax` characters. */
export function firstLine(text: string, charsMax: number): string {
  return shortened(text.trim().split('\n', 1)[0] ?? '', charsMax);
}

/** The last line that is not empty: it usually has the reason of an error. */
export function lastLine(text: string, charsMax: number): string {
  return shortened(text.trimEnd().split('\n').at(-1)?.trim() ?? '', charsMax);
}

/** The line of an output that has the reason of a failure: the last one that names an error, else the last one that is not empty. */
export function tellingLine(output: string, charsMax: number): string {
  // Node ends with its version, after the stack.
  const lines = output.split('\n').filter((line) => line.trim() !== '' && !/^Node\.js v\d/.test(line));
  const named = lines.findLast((line) => /^\s*(?:[\w.]*(?:Error|Exception)\b|panic:|fatal\b)/i.test(line));
  return lastLine(named ?? lines.at(-1) ?? '', charsMax);
}

function shortened(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`;
}
