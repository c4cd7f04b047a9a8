/** W3C Trace Context (https://www.w3.org/TR/trace-context/) in the request head that goes to the application. */
import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api';
import type { RecordedHead } from '../node/visits/visit-record.ts';

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/;
/** After the version and its hyphen. */
const IDS_AT = 3;

/** The client's span; null when the head has none. The head was checked before, so a traceparent in it is valid. */
export function readTraceparent(head: RecordedHead): SpanContext | null {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(head.field('traceparent') ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  const state = head.field('tracestate') ?? '';
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
 * Makes `span` the parent of the application's spans. With traces every head has a traceparent, and all of them have the same length, so it is
 * overwritten in place. A newer version than ours keeps its other fields.
 */
export function passOn(head: RecordedHead, { traceId, spanId, traceFlags }: SpanContext): void {
  head.overwrite('traceparent', IDS_AT, `${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`);
}
