import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface Load {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
}

/** One run of wrk with one thread. */
export async function wrk(url: string, clients: number, seconds: number, headers: readonly string[] = []): Promise<Load> {
  const args = [
    '-t1',
    `-c${clients}`,
    `-d${seconds}s`,
    '--latency',
    '--timeout',
    '10s',
    ...headers.flatMap((header) => ['-H', header]),
    url,
  ];
  const { stdout } = await promisify(execFile)('wrk', args);
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? 0);
  const failed = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
  const socketErrors = failed === null ? 0 : failed.slice(1).reduce((sum, count) => sum + Number(count), 0);
  return {
    requestsPerSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: latency(stdout, '50%'),
    p99Ms: latency(stdout, '99%'),
    errors: socketErrors + number(/Non-2xx or 3xx responses: (\d+)/),
  };
}

function latency(stdout: string, percentile: string): number {
  const match = new RegExp(`${percentile}\\s+([\\d.]+)(us|ms|s)`).exec(stdout);
  const unit = { us: 0.001, ms: 1, s: 1_000 }[match?.[2] ?? 'ms'] ?? 1;
  return Number(match?.[1] ?? 0) * unit;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
