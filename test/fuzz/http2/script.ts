/**
 * What one end of an HTTP/2 connection says, as text that a mutation leaves readable: a line a frame. Whatever the lines are, they
 * mean something; what does not is skipped.
 *
 *     headers 1 e :method=POST|:path=/a|x-a=~300     e: END_STREAM, -: no END_HEADERS; ~N: N letters
 *     continuation 1 x-b=b                           with END_HEADERS; -: without
 *     data 1 e hello                                 *N: N letters
 *     reset 1 8
 *     settings 4=65535 3=1                           or: settings ack
 *     ping | ping ack
 *     window 1 1000
 *     goaway 1 0
 *     raw 7 1 3 00ff                                 type, flags, stream, payload
 *     bytes 0a0b                                     what is no frame at all
 *     wait                                           what was said so far is read first
 *     fin | rst                                      the connection's end
 */
import { frameBytes, Type } from '../../support/http2-frames.ts';

export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const CHARS_MAX = 100_000;
const SCRIPT_LINES_MAX = 200;

export const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

export type Field = readonly [name: string, value: string];

export type Step =
  | { readonly kind: 'headers'; readonly id: number; readonly end: boolean; readonly whole: boolean; readonly fields: readonly Field[] }
  | { readonly kind: 'continuation'; readonly id: number; readonly whole: boolean; readonly fields: readonly Field[] }
  | { readonly kind: 'data'; readonly id: number; readonly end: boolean; readonly body: Buffer }
  | { readonly kind: 'reset'; readonly id: number; readonly code: number }
  | { readonly kind: 'settings'; readonly values: readonly (readonly [number, number])[] }
  /** What only the connection hears, and what is no frame. */
  | { readonly kind: 'plain' | 'raw'; readonly bytes: Buffer }
  | { readonly kind: 'wait' | 'fin' | 'rst' };

export function parseScript(bytes: Buffer): Step[] {
  const lines = bytes.toString('latin1').split('\n').slice(0, SCRIPT_LINES_MAX);
  return lines.map(parseLine).filter((step) => step !== null);
}

function parseLine(line: string): Step | null {
  const [word = '', first = '', second = '', ...rest] = line.split(' ');
  const id = number(first) & 0x7fffffff;
  switch (word) {
    case 'headers':
      return { kind: 'headers', id, end: second.includes('e'), whole: !second.includes('-'), fields: fieldsOf(rest.join(' ')) };
    case 'continuation':
      return {
        kind: 'continuation',
        id,
        whole: second !== '-',
        fields: fieldsOf(second === '-' ? rest.join(' ') : [second, ...rest].join(' ')),
      };
    case 'data':
      return { kind: 'data', id, end: second.includes('e'), body: Buffer.from(charsOf('*', rest.join(' ')), 'latin1') };
    case 'reset':
      return { kind: 'reset', id, code: number(second) };
    case 'settings': {
      if (first === 'ack') return { kind: 'plain', bytes: frameBytes(Type.SETTINGS, ACK, 0) };
      const values = [first, second, ...rest].filter((pair) => pair.includes('='));
      return { kind: 'settings', values: values.map((pair) => [number(pair.split('=')[0]) & 0xffff, number(pair.split('=')[1])] as const) };
    }
    case 'ping':
      return { kind: 'plain', bytes: frameBytes(Type.PING, first === 'ack' ? ACK : 0, 0, Buffer.alloc(8)) };
    case 'window':
      return { kind: 'plain', bytes: frameBytes(Type.WINDOW_UPDATE, 0, id, u32(number(second))) };
    case 'goaway':
      return { kind: 'plain', bytes: frameBytes(Type.GOAWAY, 0, 0, Buffer.concat([u32(id), u32(number(second))])) };
    case 'raw':
      return {
        kind: 'raw',
        bytes: frameBytes(id & 0xff, number(second) & 0xff, number(rest[0]) & 0x7fffffff, Buffer.from(rest[1] ?? '', 'hex')),
      };
    case 'bytes':
      return { kind: 'raw', bytes: Buffer.from(first, 'hex') };
    case 'wait':
    case 'fin':
    case 'rst':
      return { kind: word };
    default:
      return null;
  }
}

/** What the step sends. */
export function bytesOf(step: Step): Buffer | null {
  switch (step.kind) {
    case 'headers':
      return frameBytes(Type.HEADERS, (step.end ? END_STREAM : 0) | (step.whole ? END_HEADERS : 0), step.id, encodeFields(step.fields));
    case 'continuation':
      return frameBytes(Type.CONTINUATION, step.whole ? END_HEADERS : 0, step.id, encodeFields(step.fields));
    case 'data': {
      const frames: Buffer[] = [];
      for (let at = 0; at < step.body.length || frames.length === 0; at += 16_384) {
        const last = at + 16_384 >= step.body.length;
        frames.push(frameBytes(Type.DATA, step.end && last ? END_STREAM : 0, step.id, step.body.subarray(at, at + 16_384)));
      }
      return Buffer.concat(frames);
    }
    case 'reset':
      return frameBytes(Type.RST_STREAM, 0, step.id, u32(step.code));
    case 'settings':
      return frameBytes(
        Type.SETTINGS,
        0,
        0,
        Buffer.concat(step.values.map(([name, value]) => Buffer.concat([u32(name).subarray(2), u32(value)]))),
      );
    case 'plain':
    case 'raw':
      return step.bytes;
    default:
      return null;
  }
}

/** Literals without indexing and without compression (RFC 7541 section 6.2.2), of any length. */
function encodeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), encodeString(name), encodeString(value)]));
}

/** RFC 7541 section 5.2. */
function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const length: number[] = [Math.min(127, bytes.length)];
  if (bytes.length >= 127) {
    let rest = bytes.length - 127;
    for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

function fieldsOf(text: string): Field[] {
  if (text === '') return [];
  return text.split('|').map((pair) => {
    const equals = pair.indexOf('=', 1);
    const [name, value] = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
    return [unescaped(name), charsOf('~', unescaped(value))] as const;
  });
}

/** `\r`, `\n`, `\0` and `\xNN`. */
function unescaped(text: string): string {
  return text.replace(/\\(r|n|0|x[0-9a-f]{2})/g, (_whole, what: string) => {
    if (what.startsWith('x')) return String.fromCharCode(Number.parseInt(what.slice(1), 16));
    return { r: '\r', n: '\n', 0: '\0' }[what] ?? '';
  });
}

function charsOf(sign: string, text: string): string {
  if (!text.startsWith(sign)) return text;
  const count = number(text.slice(1));
  return 'a'.repeat(Math.min(CHARS_MAX, count));
}

function number(text = ''): number {
  const value = Number(text);
  return Number.isFinite(value) ? Math.trunc(Math.abs(value)) >>> 0 : 0;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** Cuts what an end of a connection says into frames. */
export class FrameScanner {
  #rest: Buffer = Buffer.alloc(0);
  #skip: number;

  /** `skip`: bytes in front of the first frame. */
  constructor(skip = 0) {
    this.#skip = skip;
  }

  push(chunk: Buffer): SeenFrame[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const skipped = Math.min(this.#skip, this.#rest.length);
    this.#skip -= skipped;
    this.#rest = this.#rest.subarray(skipped);
    const frames: SeenFrame[] = [];
    while (this.#skip === 0 && this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) break;
      const [type, flags] = [this.#rest[3] as number, this.#rest[4] as number];
      frames.push({ type, flags, id: this.#rest.readUInt32BE(5) & 0x7fffffff, payload: this.#rest.subarray(9, end) });
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}
