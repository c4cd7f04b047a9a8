/** W3C Trace Context (https://www.w3.org/TR/trace-context/) in a request's head as it goes on to the application. */
import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api';
import type { RequestHead } from '../node/http1/head/request-head.ts';

const TRACEPARENT = /\r\ntraceparent:[ \t]*([0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2}))/i;
const TRACESTATE = /\r\ntracestate:[ \t]*([^\r]*)/gi;
/** Behind the version and its hyphen. */
const IDS_AT = 3;

/** The client's span; null when the head names none. The head was judged before: what is there is valid. */
export function readTraceparent({ bytes }: RequestHead): SpanContext | null {
  const text = bytes.toString('latin1');
  const [, , traceId, spanId, flags] = TRACEPARENT.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  const state = [...text.matchAll(TRACESTATE)].map(([, value]) => value).join(',');
  const parent = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
    ...(state === '' ? {} : { traceState: createTraceState(state) }),
  };
  return isSpanContextValid(parent) ? parent : null;
}

/**
 * The application's parent is `span`. Where traces are recorded every head has a traceparent, and it has the same length whoever is meant: it is written over in
 * place. A version that is newer than ours keeps what else it says.
 */
export function passOn({ bytes }: RequestHead, { traceId, spanId, traceFlags }: SpanContext): void {
  const match = TRACEPARENT.exec(bytes.toString('latin1'));
  if (match === null) return;
  const at = match.index + match[0].length - (match[1] as string).length + IDS_AT;
  bytes.write(`${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`, at, 'latin1');
}
