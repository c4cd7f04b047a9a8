/** One JSON line for each request, and for each connection whose bytes are passed on as they are. */
import type { VisitRecord, VisitWatcher } from './visit-record.ts';

/** Values that strangers choose are cut, so that a line stays below 4 KiB: the kernel writes that much to a pipe atomically (PIPE_BUF). */
const HOST_CHARS_MAX = 253;
const METHOD_CHARS_MAX = 32;

export interface AccessLogOptions {
  /** The node's id. */
  readonly node: string;
  /** Share of the visits that ended in order which are written, 0 to 1. */
  readonly sample: number;
  /** Takes one line with its newline; must not block. */
  readonly write: (line: string) => void;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** Failed requests are always written, and a sample of the others. */
export class AccessLog implements VisitWatcher {
  /** Share of the visits that ended in order which are written, 0 to 1. */
  sample: number;
  readonly #options: AccessLogOptions;
  readonly #random: () => number;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    this.sample = options.sample;
    this.#random = options.random ?? Math.random;
  }

  ended(record: VisitRecord): void {
    const inOrder = record.endedBy === '-' && record.status < 500;
    if (inOrder && this.sample < 1 && this.#random() >= this.sample) return;
    this.#options.write(`${JSON.stringify(this.#line(record))}\n`);
  }

  #line(record: VisitRecord): Readonly<Record<string, unknown>> {
    const { facts, stream, arrivedAt, firstByteAt, endedAt } = record;
    const { head } = facts;
    return {
      level: 30,
      time: new Date().toISOString(),
      name: 'access',
      route: record.route ?? undefined,
      protocol: facts.protocol,
      client: facts.client,
      host: record.host === '' ? undefined : record.host.slice(0, HOST_CHARS_MAX),
      method: head?.method.slice(0, METHOD_CHARS_MAX),
      path: record.path ?? undefined,
      status: record.status === 0 ? undefined : record.status,
      bytesIn: record.bytesIn,
      bytesOut: record.bytesOut,
      holdMs: rounded(record.heldMs),
      connectMs: stream?.connectMs == null ? undefined : rounded(stream.connectMs),
      firstByteMs: firstByteAt === null ? undefined : rounded(firstByteAt - arrivedAt),
      totalMs: rounded(endedAt - arrivedAt),
      affinity: record.affinity ?? undefined,
      instance: stream?.lender.instance,
      attempts: record.streams.length,
      node: this.#options.node,
      requestId: head?.field('x-request-id') ?? undefined,
      traceId: record.traceId ?? undefined,
      end: record.endedBy + record.phase,
      reason: record.reason ?? undefined,
    };
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
