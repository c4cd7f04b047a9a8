import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Sample } from './rounds.ts';

const run = promisify(execFile);

export interface WrkOptions {
  readonly clients: number;
  readonly seconds: number;
  readonly headers?: readonly string[];
  /** A Lua file that says what is sent. */
  readonly script?: string;
  /** What is counted instead of requests: so many millions of bytes each. */
  readonly megabytesEach?: number;
}

/** One run of wrk with one thread. */
export async function wrk(url: string, { clients, seconds, headers = [], script, megabytesEach = 1 }: WrkOptions): Promise<Sample> {
  const settings = ['-t1', `-c${clients}`, `-d${seconds}s`, '--latency', '--timeout', '10s'];
  const sent = [...(script === undefined ? [] : ['-s', script]), ...headers.flatMap((header) => ['-H', header])];
  const { stdout } = await run('wrk', [...settings, ...sent, url]);
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);
  const failed = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
  const socketErrors = failed === null ? 0 : failed.slice(1).reduce((sum, count) => sum + Number(count), 0);
  return {
    count: number(/(\d+) requests in/) * megabytesEach,
    perSecond: number(/Requests\/sec:\s+([\d.]+)/) * megabytesEach,
    p50Ms: latency(stdout, '50%'),
    p99Ms: latency(stdout, '99%'),
    errors: socketErrors + number(/Non-2xx or 3xx responses: (\d+)/),
  };
}

/** One large transfer by curl; counts millions of bytes. */
export async function transfer(args: readonly string[], bytes: number): Promise<Sample> {
  const { stdout } = await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code} %{time_total}', ...args]);
  const [code, seconds] = stdout.split(' ').map(Number);
  const count = bytes / 1e6;
  const tookMs = (seconds ?? 0) * 1_000;
  return { count, perSecond: count / (seconds ?? 1), p50Ms: tookMs, p99Ms: tookMs, errors: code === 200 ? 0 : 1 };
}

function latency(stdout: string, percentile: string): number {
  const match = new RegExp(`${percentile}\\s+([\\d.]+)(us|ms|s)`).exec(stdout);
  const unit = { us: 0.001, ms: 1, s: 1_000 }[match?.[2] ?? 'ms'] ?? 1;
  return Number(match?.[1] ?? 0) * unit;
}

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? 0;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
