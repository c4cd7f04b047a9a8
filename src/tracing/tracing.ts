/** Sets OpenTelemetry up. Loaded only with traces; no other room imports its packages. */
import { setTimeout as delay } from 'node:timers/promises';
import { DiagLogLevel, diag } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { Log } from '../log.ts';
import { CommandSpans, StartIds } from './command-spans.ts';
import { VisitSpans } from './visit-spans.ts';

/** At the end: how long a collector may take. OpenTelemetry would try again for half a minute. */
const CLOSE_MS = 3_000;

export interface TracingOptions {
  readonly version: string;
  /** The process, for example a node's id. */
  readonly instance: string;
  readonly log: Log;
  /** Receives the spans; absent: OTLP over HTTP. */
  readonly exporter?: SpanExporter;
}

export interface Tracing {
  readonly visits: VisitSpans;
  readonly commands: CommandSpans;
  /** Sends the remaining spans; resolves after CLOSE_MS in any case. */
  close(): Promise<void>;
}

/** Spans are sent in batches; when too many wait (OTEL_BSP_MAX_QUEUE_SIZE) further ones are dropped. */
export function startTracing({ version, instance, log, exporter = new OTLPTraceExporter() }: TracingOptions): Tracing {
  const own = resourceFromAttributes({ 'service.name': 'pullproxy', 'service.version': version, 'service.instance.id': instance });
  const idGenerator = new StartIds();
  const provider = new BasicTracerProvider({
    idGenerator,
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES beat ours.
    resource: own.merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  // Mostly collectors that are away. OpenTelemetry reports each try.
  const say = (message: string): void => log.warn({ reason: message }, 'OpenTelemetry reports an error');
  const ignore = (): void => {};
  diag.setLogger(
    { error: say, warn: say, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const tracer = provider.getTracer('pullproxy', version);
  return {
    visits: new VisitSpans(tracer),
    commands: new CommandSpans(tracer, idGenerator),
    async close() {
      const sent = provider.shutdown().then(() => true);
      const late = delay(CLOSE_MS, false, { ref: false });
      const done = await Promise.race([sent, late]).catch(() => false);
      if (!done) log.warn('the last traces could not be sent');
    },
  };
}
