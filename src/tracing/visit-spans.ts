/**
 * The spans of one visit:
 *
 *     GET                          from its arrival to its end; the client's span is its parent, if there is one
 *       ├─ hold                    each time that it waited for a slot
 *       │    └─ handoff            the slot came from another node: from its announcement until it was there
 *       └─ stream                  each attempt at an instance; it is the parent of the application's spans
 *
 * Names of attributes are OpenTelemetry's, if it has them (semantic conventions for HTTP).
 */
import { type Attributes, context, type Span, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import type { RecordedHead, StreamNote, VisitRecord, VisitWatcher } from '../node/visits/visit-record.ts';
import { startContext } from './command-spans.ts';
import { passOn, readTraceparent } from './traceparent.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY']);

interface Spans {
  readonly root: Span;
  hold: Span | null;
  stream: Span | null;
}

export class VisitSpans implements VisitWatcher {
  readonly beginsTraces = true;
  readonly #tracer: Tracer;
  readonly #spans = new WeakMap<VisitRecord, Spans>();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  began(record: VisitRecord): void {
    const { head, protocol, client } = record.facts;
    const parent = head?.traced === true ? readTraceparent(head) : null;
    const attributes: Attributes = { 'client.address': client, 'server.address': record.host };
    if (head === null) attributes['network.protocol.name'] = protocol.toLowerCase();
    else Object.assign(attributes, httpAttributes(head), { 'url.path': record.path });
    const root = this.#tracer.startSpan(
      head === null ? protocol : knownMethod(head),
      { kind: SpanKind.SERVER, startTime: wallClock(record.arrivedAt), attributes },
      parent === null ? context.active() : trace.setSpanContext(context.active(), parent),
    );
    record.traceId = root.spanContext().traceId;
    this.#spans.set(record, { root, hold: null, stream: null });
  }

  held(record: VisitRecord): void {
    const spans = this.#spans.get(record);
    if (spans === undefined) return;
    this.#endStream(record, spans);
    spans.hold = this.#child('hold', spans.root, record.holds.at(-1)?.from ?? performance.now());
  }

  opened(record: VisitRecord): void {
    const spans = this.#spans.get(record);
    const { stream } = record;
    if (spans === undefined || stream === null) return;
    linkToStart(spans.hold, record, stream.lender);
    this.#endHold(record, spans);
    spans.stream = this.#child('stream', spans.root, stream.from, SpanKind.CLIENT, {
      'pullproxy.instance': stream.lender.instance,
      'pullproxy.relayed': stream.lender.relayed,
      'pullproxy.attempt': record.streams.length,
    });
    const { head } = record.facts;
    if (head !== null) passOn(head, spans.stream.spanContext());
  }

  ended(record: VisitRecord): void {
    const spans = this.#spans.get(record);
    if (spans === undefined) return;
    this.#endStream(record, spans);
    this.#endHold(record, spans);
    const { root } = spans;
    const { route, status, endedBy, phase, reason } = record;
    // A route of pullproxy is a host and no `http.route`: it does not belong into the name of a span of HTTP.
    if (route !== null && record.facts.head === null) root.updateName(`${record.facts.protocol} ${route}`);
    root.setAttributes({ 'pullproxy.end': endedBy + phase, 'pullproxy.bytes_in': record.bytesIn, 'pullproxy.bytes_out': record.bytesOut });
    if (route !== null) root.setAttribute('pullproxy.route', route);
    if (status !== 0) root.setAttribute('http.response.status_code', status);
    if (reason !== null) root.setAttribute('pullproxy.reason', reason);
    // A fault of the client, or its leaving, is no error of a server span.
    const isOurs = status >= 500 || (reason !== null && !'CcPL'.includes(endedBy));
    if (isOurs) {
      root.setAttribute('error.type', reason ?? String(status));
      root.setStatus({ code: SpanStatusCode.ERROR, ...(reason === null ? {} : { message: reason }) });
    }
    root.end(wallClock(record.endedAt));
  }

  #endHold(record: VisitRecord, spans: Spans): void {
    const hold = record.holds.at(-1);
    if (spans.hold === null || hold === undefined) return;
    const to = hold.to ?? performance.now();
    const { handoff } = record;
    if (handoff !== null) {
      const attributes = { 'pullproxy.from_node': handoff.node };
      this.#child('handoff', spans.hold, Math.max(hold.from, handoff.from), SpanKind.INTERNAL, attributes).end(wallClock(to));
    }
    spans.hold.end(wallClock(to));
    spans.hold = null;
  }

  #endStream(record: VisitRecord, spans: Spans): void {
    if (spans.stream === null) return;
    const { stream } = record;
    if (stream?.connectMs != null) spans.stream.setAttribute('pullproxy.connect_ms', stream.connectMs);
    if (record.firstByteAt !== null) spans.stream.addEvent('first byte', wallClock(record.firstByteAt));
    spans.stream.end(wallClock(stream?.to ?? performance.now()));
    spans.stream = null;
  }

  #child(name: string, parent: Span, from: number, kind = SpanKind.INTERNAL, attributes: Attributes = {}): Span {
    return this.#tracer.startSpan(name, { kind, attributes, startTime: wallClock(from) }, trace.setSpan(context.active(), parent));
  }
}

function httpAttributes(head: RecordedHead): Attributes {
  const method = knownMethod(head);
  return {
    'http.request.method': method === 'HTTP' ? '_OTHER' : method,
    'url.scheme': head.proto,
    'server.port': portOf(head),
    'network.protocol.version': head.version === '2.0' ? '2' : head.version,
  };
}

/** The port in `Host`, or the scheme's own. */
function portOf({ hostText, proto }: RecordedHead): number {
  const said = /:(\d{1,5})$/.exec(hostText)?.[1];
  return said === undefined ? (proto === 'https' ? 443 : 80) : Number(said);
}

/** The client waited for this instance to be started: the span of the startup command is another trace's. */
function linkToStart(hold: Span | null, record: VisitRecord, { startId, readyAt, birth }: StreamNote['lender']): void {
  const since = record.holds.at(-1)?.from;
  const ready = readyAt ?? birth?.readyAt ?? null;
  if (hold === null || startId === undefined || since === undefined || ready === null || ready < since) return;
  hold.setAttribute('pullproxy.start_id', startId);
  hold.addLink({ context: startContext(startId) });
}

/** Methods that clients invent must not become names of spans. */
function knownMethod({ method }: RecordedHead): string {
  return METHODS.has(method) ? method : 'HTTP';
}

/** performance.now() → ms since 1970. */
function wallClock(at: number): number {
  return performance.timeOrigin + at;
}
