import { SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';

export interface StartFacts {
  readonly route: string;
  readonly startId: string;
  readonly count: number;
  readonly desired: number;
}

/** One span for each run of the startup command. */
export class CommandSpans {
  readonly #tracer: Tracer;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** The command begins. Call the returned function once, when it has ended. `failure`: null when it succeeded. */
  begin({ route, startId, count, desired }: StartFacts): (exitCode: number | null, failure: string | null) => void {
    const attributes = { 'pullproxy.route': route, 'pullproxy.start_id': startId, 'pullproxy.count': count, 'pullproxy.desired': desired };
    const span = this.#tracer.startSpan('startup command', { kind: SpanKind.INTERNAL, root: true, attributes });
    return (exitCode, failure) => {
      if (exitCode !== null) span.setAttribute('process.exit.code', exitCode);
      if (failure !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      span.end();
    };
  }
}
