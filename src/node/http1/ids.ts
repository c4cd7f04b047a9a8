import { randomFillSync } from 'node:crypto';
import { nanoid } from 'nanoid';

/** Random bytes for some hundred ids at a time: one call into the kernel, not one a request. */
const POOL_BYTES = 12_288;
const TRACE_BYTES = 24;
let pool: Buffer | null = null;
let used = POOL_BYTES;

export function newRequestId(): string {
  return nanoid();
}

/** A W3C trace context of a trace that begins here, not sampled: `00-<trace id>-<parent id>-00`. */
export function newTraceparent(): string {
  pool ??= Buffer.allocUnsafeSlow(POOL_BYTES);
  if (used === POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const trace = pool.toString('hex', used, used + 16);
  const parent = pool.toString('hex', used + 16, used + TRACE_BYTES);
  used += TRACE_BYTES;
  return `00-${trace}-${parent}-00`;
}
