import { InMemorySpanExporter, type ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { createLog } from '../../src/log.ts';
import { startTracing, type Tracing } from '../../src/tracing/tracing.ts';

class KeptSpans extends InMemorySpanExporter {
  /** Would forget them. */
  override shutdown(): Promise<void> {
    return Promise.resolve();
  }
}

/** Traces that are kept here instead of being sent. */
export class RecordedSpans {
  readonly tracing: Tracing;
  readonly #exporter = new KeptSpans();

  constructor() {
    this.tracing = startTracing({ version: '1', instance: 'n1', log: createLog('test', 'silent'), exporter: this.#exporter });
  }

  /** Ends tracing; all spans that were ended, in this order. */
  async end(): Promise<ReadableSpan[]> {
    await this.tracing.close();
    return this.#exporter.getFinishedSpans();
  }
}

/** The only span of this name. @throws when there are more, or none */
export function theSpan(spans: readonly ReadableSpan[], name: string): ReadableSpan {
  const [one, ...more] = spans.filter((span) => span.name === name);
  if (one === undefined || more.length > 0)
    throw new Error(`${more.length + Number(one !== undefined)} spans "${name}" of ${spans.map((span) => span.name).join(', ')}`);
  return one;
}

/** In ms since 1970. */
export function timesOf({ startTime, endTime }: ReadableSpan): [from: number, to: number] {
  return [startTime[0] * 1_000 + startTime[1] / 1e6, endTime[0] * 1_000 + endTime[1] / 1e6];
}
