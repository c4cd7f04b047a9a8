/** The lines that are added to a request's head: as bytes, or as fields. Most requests are given the same as the one before, but for their ids. */
import { randomFillSync } from 'node:crypto';
import { urlAlphabet } from 'nanoid';

/** The lines that are added to a head. */
export interface Additions {
  /** Complete lines. */
  readonly lines: string;
  readonly requestId: boolean;
  readonly traceparent: boolean;
  /** The version of HTTP that `Via` names; empty: there is no such line. */
  readonly via: string;
}

/** nanoid's default: 126 random bits. */
const REQUEST_ID_CHARS = 21;
/** W3C Trace Context section 3.2: 16 and 8 bytes in hex. */
const TRACE_ID_CHARS = 32;
const PARENT_ID_CHARS = 16;
const ID_CHARS = Buffer.from(urlAlphabet, 'latin1');
const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');

/** Random bytes for some hundred requests at a time: one call into the kernel, not one a request. */
const POOL_BYTES = 12_288;
const BYTES_A_REQUEST = REQUEST_ID_CHARS + (TRACE_ID_CHARS + PARENT_ID_CHARS) / 2;
const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;
/** In which ids are written before they become strings. */
const ids = Buffer.alloc(TRACE_ID_CHARS + PARENT_ID_CHARS);

/** A trace context of a trace that begins here, not sampled. */
const TRACE_BEGINS = 'traceparent: 00-';
const TRACE_TEMPLATE = `${TRACE_BEGINS}${'0'.repeat(TRACE_ID_CHARS)}-${'0'.repeat(PARENT_ID_CHARS)}-00\r\n`;
const REQUEST_ID_BEGINS = 'X-Request-Id: ';
const REQUEST_ID_TEMPLATE = `${REQUEST_ID_BEGINS}${'0'.repeat(REQUEST_ID_CHARS)}\r\n`;

interface Template extends Additions {
  readonly bytes: Buffer;
  readonly requestIdAt: number;
  readonly traceAt: number;
}

let last: Template = makeTemplate({ lines: '', requestId: false, traceparent: false, via: '' });

/** Fields that are added behind those of the head. */
export function addFields(fields: string[], { requestId, traceparent, via }: Omit<Additions, 'lines'>): void {
  drawIfUsed();
  if (requestId) {
    writeId(ids, 0);
    fields.push('x-request-id', ids.toString('latin1', 0, REQUEST_ID_CHARS));
  }
  if (traceparent) {
    writeHex(ids, 0, TRACE_ID_CHARS);
    writeHex(ids, TRACE_ID_CHARS, PARENT_ID_CHARS);
    const [trace, parent] = [ids.toString('latin1', 0, TRACE_ID_CHARS), ids.toString('latin1', TRACE_ID_CHARS)];
    fields.push('traceparent', `00-${trace}-${parent}-00`);
  }
  if (via !== '') fields.push('via', `${via} pullproxy`);
}

/** Valid until the next call: it is copied at once. */
export function addedLines(additions: Additions): Buffer {
  const isAsBefore =
    last.lines === additions.lines &&
    last.requestId === additions.requestId &&
    last.traceparent === additions.traceparent &&
    last.via === additions.via;
  if (!isAsBefore) last = makeTemplate(additions);
  const { bytes, requestIdAt, traceAt } = last;
  drawIfUsed();
  if (requestIdAt > 0) writeId(bytes, requestIdAt);
  if (traceAt > 0) {
    writeHex(bytes, traceAt, TRACE_ID_CHARS);
    writeHex(bytes, traceAt + TRACE_ID_CHARS + 1, PARENT_ID_CHARS);
  }
  return bytes;
}

function drawIfUsed(): void {
  if (used <= POOL_BYTES - BYTES_A_REQUEST) return;
  randomFillSync(pool);
  used = 0;
}

function makeTemplate({ lines, requestId, traceparent, via }: Additions): Template {
  const before = lines + (requestId ? REQUEST_ID_TEMPLATE : '');
  const text = `${before}${traceparent ? TRACE_TEMPLATE : ''}${via === '' ? '' : `Via: ${via} pullproxy\r\n`}`;
  return {
    lines,
    requestId,
    traceparent,
    via,
    bytes: Buffer.from(text, 'latin1'),
    requestIdAt: requestId ? lines.length + REQUEST_ID_BEGINS.length : 0,
    traceAt: traceparent ? before.length + TRACE_BEGINS.length : 0,
  };
}

function writeId(bytes: Buffer, at: number): void {
  for (let i = 0; i < REQUEST_ID_CHARS; i++) bytes[at + i] = ID_CHARS[(pool[used++] as number) & 63] as number;
}

function writeHex(bytes: Buffer, at: number, chars: number): void {
  for (let i = 0; i < chars; i += 2) {
    const byte = pool[used++] as number;
    bytes[at + i] = HEX_DIGITS[byte >> 4] as number;
    bytes[at + i + 1] = HEX_DIGITS[byte & 15] as number;
  }
}
