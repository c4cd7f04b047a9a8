import { createHash } from 'node:crypto';
import { type SpanContext, SpanKind, SpanStatusCode, TraceFlags, type Tracer } from '@opentelemetry/api';
import { type IdGenerator, RandomIdGenerator } from '@opentelemetry/sdk-trace-base';

export interface CommandFacts {
  readonly route: string;
  readonly startId: string;
  readonly count: number;
  readonly desired: number;
}

/** The span of a start's command: its ids follow from the start's, so that a node can link the clients that wait for it without asking. */
export function startContext(startId: string): SpanContext {
  const hash = createHash('sha256').update(`pullproxy start ${startId}`).digest('hex');
  return { traceId: hash.slice(0, 32), spanId: hash.slice(32, 48), traceFlags: TraceFlags.SAMPLED, isRemote: true };
}

/** Random ids, but for one span at a time that is given its own. */
export class StartIds implements IdGenerator {
  readonly #random = new RandomIdGenerator();
  #next: SpanContext | null = null;

  /** Makes one span, synchronously. */
  within<T>(context: SpanContext, make: () => T): T {
    this.#next = context;
    try {
      return make();
    } finally {
      this.#next = null;
    }
  }

  generateTraceId = (): string => this.#next?.traceId ?? this.#random.generateTraceId();
  generateSpanId = (): string => this.#next?.spanId ?? this.#random.generateSpanId();
}

/** One span for each run of the startup command. */
export class CommandSpans {
  readonly #tracer: Tracer;
  readonly #ids: StartIds;

  constructor(tracer: Tracer, ids: StartIds) {
    this.#tracer = tracer;
    this.#ids = ids;
  }

  /** The command begins. Call the returned function once, when it has ended. `failure`: null when it succeeded. */
  begin({ route, startId, count, desired }: CommandFacts): (exitCode: number | null, failure: string | null) => void {
    const attributes = { 'pullproxy.route': route, 'pullproxy.start_id': startId, 'pullproxy.count': count, 'pullproxy.desired': desired };
    const options = { kind: SpanKind.INTERNAL, root: true, attributes };
    const span = this.#ids.within(startContext(startId), () => this.#tracer.startSpan('startup command', options));
    return (exitCode, failure) => {
      if (exitCode !== null) span.setAttribute('process.exit.code', exitCode);
      if (failure !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      span.end();
    };
  }
}
