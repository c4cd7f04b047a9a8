/**
 * What one end of a link says, as text: a line a frame. Whatever the lines are, they mean something; what does not is skipped.
 *
 *     number GRANT 0 0 2            type, flags, stream, a number of 32 bits
 *     text STATE 0 0 {"home":true}  the same with text; ~N: N letters
 *     frame 11 0 1 00ff             the same in hex
 *     empty END 0 1
 *     times 50                      the next frame is said so often
 *     client                        somebody asks for what this link serves
 *     wait                          what was said so far is read first
 *     bytes 0a0b                    what is no frame at all
 *     fin | rst
 */
import { Frame } from '../../src/link/frames.ts';

const LINES_MAX = 100;
const TIMES_MAX = 2_000;
const CHARS_MAX = 60_000;

export type LinkStep =
  | { readonly kind: 'said'; readonly bytes: Buffer; readonly times: number }
  | { readonly kind: 'client' | 'wait' | 'fin' | 'rst' };

/** `addresses`: what IPv4 addresses in text become: no fuzzer dials into the network. */
export function parseLinkScript(bytes: Buffer, addresses = '127.0.0.1'): LinkStep[] {
  const steps: LinkStep[] = [];
  let times = 1;
  for (const line of bytes.toString('latin1').split('\n').slice(0, LINES_MAX)) {
    const [word = '', type = '', flags = '', id = '', ...rest] = line.split(' ');
    const payload = payloadOf(word, rest.join(' '), addresses);
    if (word === 'times') times = Math.min(TIMES_MAX, number(type));
    else if (word === 'client' || word === 'wait' || word === 'fin' || word === 'rst') steps.push({ kind: word });
    else if (word === 'bytes') steps.push({ kind: 'said', bytes: Buffer.from(type, 'hex'), times: 1 });
    else if (payload !== null) {
      steps.push({ kind: 'said', bytes: linkFrame(typeOf(type), number(flags), number(id), payload), times });
      times = 1;
    }
  }
  return steps;
}

export function linkFrame(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE((((type & 31) << 27) | ((flags & 7) << 24) | (payload.length & 0xffffff)) >>> 0, 0);
  head.writeUInt32BE(id, 4);
  return Buffer.concat([head, payload]);
}

function payloadOf(word: string, text: string, addresses: string): Buffer | null {
  switch (word) {
    case 'number':
      return u32(number(text));
    case 'text': {
      const safe = text.replace(/\d+\.\d+\.\d+\.\d+/g, addresses);
      return Buffer.from(safe.startsWith('~') ? 'a'.repeat(Math.min(CHARS_MAX, number(safe.slice(1)))) : safe, 'latin1');
    }
    case 'counted': {
      const [count = '', ...rest] = text.split(' ');
      const address = payloadOf('text', rest.join(' '), addresses) as Buffer;
      return Buffer.concat([u32(number(count)), address]);
    }
    case 'frame':
      return Buffer.from(text, 'hex');
    case 'empty':
      return Buffer.alloc(0);
    default:
      return null;
  }
}

function typeOf(text: string): number {
  return Object.hasOwn(Frame, text) ? Frame[text as keyof typeof Frame] : number(text);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function number(text: string): number {
  const value = Number(text);
  return Number.isFinite(value) ? Math.trunc(Math.abs(value)) >>> 0 : 0;
}
