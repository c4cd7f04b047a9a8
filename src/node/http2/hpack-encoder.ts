import { type Fields, neverIndexed } from './fields.ts';
import { FrameFlag, FrameType, frameHead, HEAD_BYTES } from './frames.ts';
import { STATIC_TABLE } from './hpack-table.ts';

/** No frame of ours is larger: all peers take this size (RFC 9113 section 4.2). */
export const PAYLOAD_BYTES_MAX = 16_384;
/** Each string begins with its length in at most four bytes, and a name with the kind of field before that. */
const STRING_OVERHEAD_BYTES = 6;
/** Shorter strings are faster written here than by a call of Node. */
const LOOPED_CHARS_MAX = 64;
const NO_TABLE = 0x20;
const NEVER_INDEXED = 0x10;

const NAMES = new Map<string, number>();
const VALUES = new Map<string, Map<string, number>>();
for (const [index, [name, value]] of STATIC_TABLE.entries()) {
  if (index === 0) continue;
  if (!NAMES.has(name)) NAMES.set(name, index);
  if (value === '') continue;
  const values = VALUES.get(name) ?? new Map<string, number>();
  VALUES.set(name, values.set(value, index));
}

/**
 * A HEADERS frame, with the CONTINUATIONs that it needs. Only the static table of HPACK is used, as HAProxy and nginx do: there is no state
 * that both sides could see differently. `isFirst`: of a connection; it says that there is no table here.
 */
export function headersFrame(stream: number, fields: Fields, endsStream: boolean, isFirst: boolean): Buffer {
  let bytes = HEAD_BYTES + 1;
  for (let i = 0; i < fields.length; i++) bytes += (fields[i] as string).length + STRING_OVERHEAD_BYTES;
  const out = Buffer.allocUnsafe(bytes);
  const end = encode(fields, out, HEAD_BYTES, isFirst);
  const flags = endsStream ? FrameFlag.END_STREAM : 0;
  const length = end - HEAD_BYTES;
  if (length > PAYLOAD_BYTES_MAX) return continued(stream, flags, out.subarray(HEAD_BYTES, end));
  frameHead(out, 0, FrameType.HEADERS, flags | FrameFlag.END_HEADERS, stream, length);
  return out.subarray(0, end);
}

function encode(fields: Fields, out: Buffer, from: number, isFirst: boolean): number {
  const never = neverIndexed(fields);
  let at = from;
  if (isFirst) out[at++] = NO_TABLE;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    const known = VALUES.get(name)?.get(value);
    if (known !== undefined) {
      out[at++] = 0x80 | known;
      continue;
    }
    const index = NAMES.get(name) ?? 0;
    at = integer(out, at, never.includes(name) ? NEVER_INDEXED : 0, 0x0f, index);
    if (index === 0) at = string(out, at, name);
    at = string(out, at, value);
  }
  return at;
}

function string(out: Buffer, from: number, text: string): number {
  let at = integer(out, from, 0, 0x7f, text.length);
  if (text.length > LOOPED_CHARS_MAX) return at + out.write(text, at, text.length, 'latin1');
  for (let i = 0; i < text.length; i++) out[at++] = text.charCodeAt(i);
  return at;
}

function integer(out: Buffer, from: number, first: number, mask: number, value: number): number {
  let at = from;
  if (value < mask) {
    out[at++] = first | value;
    return at;
  }
  out[at++] = first | mask;
  let left = value - mask;
  for (; left >= 128; left = Math.floor(left / 128)) out[at++] = (left % 128) | 128;
  out[at++] = left;
  return at;
}

function continued(stream: number, flags: number, block: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += PAYLOAD_BYTES_MAX) {
    const part = block.subarray(at, at + PAYLOAD_BYTES_MAX);
    const last = at + part.length === block.length ? FrameFlag.END_HEADERS : 0;
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    frameHead(head, 0, at === 0 ? FrameType.HEADERS : FrameType.CONTINUATION, at === 0 ? flags | last : last, stream, part.length);
    frames.push(head, part);
  }
  return Buffer.concat(frames);
}
