import type { Comparison, Measured } from '../rounds.ts';
import type { Figure, Result } from '../suites/suite.ts';

export interface Report {
  readonly date: string;
  readonly machine: Readonly<Record<'cpu' | 'kernel' | 'node' | 'haproxy', string>> & { readonly cores: number; readonly memoryGb: number };
  /** The load average of the minute before: what others did on the machine. */
  readonly loadBefore: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly results: readonly Result[];
}

export function isComparison(result: Result): result is Comparison {
  return 'targets' in result;
}

/** One line for whoever watches. */
export function line(result: Result): string {
  if (!isComparison(result)) return `${result.suite}: ${result.name}: ${number(result.value)} ${result.unit}`.trimEnd();
  const targets = Object.entries(result.targets).map(
    ([name, one]) => `${name} ${number(shown(result, name))}${one.errors > 0 ? ` (${one.errors} errors)` : ''}`,
  );
  const ratios = Object.entries(result.ratios).map(([name, ratio]) => `${ratio.toFixed(2)} of ${name}`);
  return `${result.suite}: ${result.name}: ${targets.join(', ')} ${result.unit}; ${ratios.join(', ')}`;
}

/** The report as Markdown; `picture`: the chart's file. */
export function table({ date, machine, loadBefore, rounds, seconds, results }: Report, picture: string): string {
  const { cpu, cores, memoryGb, kernel, node, haproxy } = machine;
  const comparisons = results.filter(isComparison);
  const figures = results.filter((result): result is Figure => !isComparison(result));
  const rows = comparisons.map((one) => {
    const measured = Object.keys(one.targets).map((name) => `${name} ${number(shown(one, name))}`);
    const ratios = Object.entries(one.ratios).map(([name, ratio]) => `**${ratio.toFixed(2)}** of ${name}`);
    const p99 = Object.entries(one.targets).map(([name, { p99Ms }]) => `${name} ${number(p99Ms)}`);
    const cpuMs = Object.entries(one.targets).flatMap(([name, target]) => cpuOf(name, target));
    return `| ${one.suite} | ${one.name} | ${measured.join(', ')} ${one.unit} | ${ratios.join(', ')} | ${p99.join(', ')} | ${cpuMs.join(', ')} |`;
  });
  return [
    '# Benchmarks',
    '',
    `${date}. ${cores} cores of ${cpu}, ${memoryGb} GB, Linux ${kernel}, Node ${node}, HAProxy ${haproxy}; the load comes from the same machine, whose load average was ${number(loadBefore)} before.`,
    `Medians of ${rounds} alternating rounds of ${seconds} s. \`chain\`: two HAProxy processes of one thread each; \`pair\`: two processes of node:http and undici; \`direct\`: nothing between.`,
    '',
    `![Ratios](${picture})`,
    '',
    '| suite | case | measured | ratio | p99 ms | processor time, ms for 1,000 |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    '| suite | figure | |',
    '| --- | --- | --- |',
    ...figures.map(({ suite, name, value, unit }) => `| ${suite} | ${name} | ${number(value)} ${unit} |`),
    '',
  ].join('\n');
}

/** Processor time of all processes on the way together, and of each. */
function cpuOf(name: string, { cpuMs }: Measured): string[] {
  const each = Object.entries(cpuMs);
  if (each.length === 0) return [];
  const sum = each.reduce((total, [, ms]) => total + ms, 0);
  return [`${name} ${number(sum)} (${each.map(([process, ms]) => `${process} ${number(ms)}`).join(', ')})`];
}

function shown({ unit, targets }: Comparison, name: string): number {
  const one = targets[name];
  return (unit === 'p99 ms' ? one?.p99Ms : one?.perSecond) ?? 0;
}

function number(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}
