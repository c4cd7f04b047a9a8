/**
 * How long a client is willing to wait, as its request says it: `grpc-timeout`, and the header that the route names. The application is told what
 * is left of it when the request goes out.
 */
import type { RequestHead } from './request-head.ts';

/** `grpc`: as gRPC writes it; `number`: ms without a unit; `ms`, `s`: with one. */
type Form = 'grpc' | 'number' | 'ms' | 's';

export interface TimeLimit {
  /** Its header, in lower case. */
  readonly name: string;
  readonly form: Form;
  readonly ms: number;
}

export const NO_LIMITS: readonly TimeLimit[] = [];
const GRPC_TIMEOUT = 'grpc-timeout';
/** gRPC over HTTP/2: at most eight digits and a unit. */
const GRPC_VALUE = /^(\d{1,8})([HMSmun])$/;
const GRPC_UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
const GRPC_NUMBER_MAX = 99_999_999;
const VALUE = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h)?$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * `header`: the one that the route names, in lower case. A value that can't be read is no limit, and passes as it came. Where a header is there
 * more than once the first one counts.
 */
export function timeLimitsOf(head: RequestHead, header: string | null): readonly TimeLimit[] {
  const names = head.saysGrpcTimeout && header !== GRPC_TIMEOUT ? [GRPC_TIMEOUT, header] : [header];
  return names.flatMap((name) => {
    const [value] = (name === null ? null : head.field(name))?.split(', ', 1) ?? [];
    return name === null || value === undefined ? [] : (readLimit(name, value) ?? []);
  });
}

function readLimit(name: string, value: string): TimeLimit | null {
  if (name === GRPC_TIMEOUT) {
    const [, number, unit = ''] = GRPC_VALUE.exec(value) ?? [];
    return number === undefined ? null : { name, form: 'grpc', ms: Number(number) * (GRPC_UNIT_MS[unit] ?? 1) };
  }
  const [, number, unit] = VALUE.exec(value) ?? [];
  if (number === undefined) return null;
  const form = unit === undefined ? 'number' : unit === 'ms' ? 'ms' : 's';
  return { name, form, ms: Number(number) * (UNIT_MS[unit ?? 'ms'] ?? 1) };
}

/** The shortest of at least one limit. */
export function shortestMs(limits: readonly TimeLimit[]): number {
  return Math.min(...limits.map(({ ms }) => ms));
}

/** The limits, each less by what has passed: names and values. */
export function timeLeft(limits: readonly TimeLimit[], passedMs: number): string[] {
  return limits.flatMap(({ name, form, ms }) => [name, written(form, Math.max(0, ms - passedMs))]);
}

/** A request's first bytes with these names and values in the place of its own. */
export function withFields(bytes: Buffer, fields: readonly string[]): Buffer {
  return fields.length === 0 ? bytes : withReplaced(bytes, fields);
}

function withReplaced(bytes: Buffer, fields: readonly string[]): Buffer {
  const headEnd = bytes.indexOf('\r\n\r\n');
  const isReplaced = (line: string): boolean => fields.some((name, i) => i % 2 === 0 && isOf(line, name));
  const lines = bytes
    .toString('latin1', 0, headEnd)
    .split('\r\n')
    .filter((line) => !isReplaced(line));
  for (let i = 0; i < fields.length; i += 2) lines.push(`${fields[i]}: ${fields[i + 1]}`);
  return Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), bytes.subarray(headEnd)]);
}

/** Never more than is left, and never nothing: 0 means no limit to some. */
function written(form: Form, leftMs: number): string {
  if (form === 'number') return `${Math.max(1, Math.floor(leftMs))}`;
  if (form === 'ms') return `${Math.max(1, Math.floor(leftMs))}ms`;
  if (form === 's') return `${Math.max(0.001, Math.floor(leftMs) / 1_000)}s`;
  const microseconds = Math.max(1, Math.floor(leftMs * 1_000));
  if (microseconds <= GRPC_NUMBER_MAX) return `${microseconds}u`;
  return leftMs <= GRPC_NUMBER_MAX ? `${Math.floor(leftMs)}m` : `${Math.min(GRPC_NUMBER_MAX, Math.floor(leftMs / 1_000))}S`;
}

function isOf(line: string, name: string): boolean {
  return line.charCodeAt(name.length) === 0x3a && line.slice(0, name.length).toLowerCase() === name;
}
