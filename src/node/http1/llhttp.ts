/**
 * llhttp, Node's own HTTP parser, as the WebAssembly build that undici ships. Every head is parsed in one contiguous buffer,
 * so that headers are offsets into it and nothing is copied out that is not needed; the bytes of a body are shown
 * to the parser only when they are chunked.
 */
import { createRequire } from 'node:module';

/** The few words of WebAssembly that are needed; its full types belong to browsers. */
declare const WebAssembly: {
  Module: new (code: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  malloc(bytes: number): number;
  llhttp_alloc(type: number): number;
  llhttp_free(parser: number): void;
  llhttp_reset(parser: number): void;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_resume(parser: number): void;
  llhttp_get_error_pos(parser: number): number;
  llhttp_get_error_reason(parser: number): number;
  llhttp_get_method(parser: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
  llhttp_method_name(method: number): number;
}

const TYPE_REQUEST = 1;
const TYPE_RESPONSE = 2;
const OK = 0;
const PAUSED = 21;

/** A head with more headers is refused. */
export const HEADERS_MAX = 128;
/** Bytes shown to the parser at a time. */
const INPUT_BYTES = 65_536;
/** Idle parsers kept for the next messages. */
const POOL_MAX = 1_024;

/** Offsets of the head that was parsed last, into the buffer given to `parseHead`; overwritten by the next call. */
export class HeadSpans {
  /** Four numbers a header: name start, name end, value start, value end. */
  readonly headers = new Int32Array(HEADERS_MAX * 4);
  count = 0;
  tooMany = false;
  urlStart = 0;
  urlEnd = 0;
  status = 0;
  keepAlive = false;
  upgrade = false;

  clear(): void {
    this.count = 0;
    this.tooMany = false;
    this.urlStart = this.urlEnd = 0;
  }
}

export const spans = new HeadSpans();

export type HeadResult =
  | { readonly kind: 'complete'; readonly bytes: number; readonly parser: Parser }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly reason: string };

const INCOMPLETE: HeadResult = { kind: 'incomplete' };

let inputBase = 0;
let lastWasName = false;
let collecting = false;
let messageComplete = false;

const wasm = instantiate();
const input = wasm.malloc(INPUT_BYTES);
let memory = new Uint8Array(wasm.memory.buffer);
const methodNames: string[] = [];
const pools: Record<number, Parser[]> = { [TYPE_REQUEST]: [], [TYPE_RESPONSE]: [] };

function instantiate(): Exports {
  const code: Buffer = createRequire(import.meta.url)('undici/lib/llhttp/llhttp_simd-wasm.js');
  const instance = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(code)), {
    env: {
      wasm_on_message_begin: () => OK,
      wasm_on_status: () => OK,
      wasm_on_body: () => OK,
      wasm_on_url: (_parser: number, at: number, length: number) => {
        if (spans.urlEnd === 0) spans.urlStart = at - inputBase;
        spans.urlEnd = at - inputBase + length;
        return OK;
      },
      wasm_on_header_field: (_parser: number, at: number, length: number) => {
        if (collecting) addName(at - inputBase, length);
        return OK;
      },
      wasm_on_header_value: (_parser: number, at: number, length: number) => {
        if (collecting) addValue(at - inputBase, length);
        return OK;
      },
      wasm_on_headers_complete: (_parser: number, status: number, upgrade: number, keepAlive: number) => {
        spans.status = status;
        spans.upgrade = upgrade !== 0;
        spans.keepAlive = keepAlive !== 0;
        return PAUSED;
      },
      wasm_on_message_complete: () => {
        messageComplete = true;
        return PAUSED;
      },
    },
  });
  return instance.exports as Exports;
}

/** llhttp may report one name or value in several pieces; they lie side by side. */
function addName(at: number, length: number): void {
  const headers = spans.headers;
  if (lastWasName && headers[spans.count * 4 - 3] === at) {
    headers[spans.count * 4 - 3] = at + length;
    return;
  }
  if (spans.count === HEADERS_MAX) {
    spans.tooMany = true;
    return;
  }
  const i = spans.count * 4;
  headers[i] = at;
  headers[i + 1] = at + length;
  headers[i + 2] = at + length;
  headers[i + 3] = at + length;
  spans.count++;
  lastWasName = true;
}

function addValue(at: number, length: number): void {
  const i = spans.count * 4 - 4;
  if (i < 0 || spans.tooMany) return;
  if (lastWasName) spans.headers[i + 2] = at;
  spans.headers[i + 3] = at + length;
  lastWasName = false;
}

function load(bytes: Buffer, start: number, end: number): void {
  // The WASM heap may have grown and moved.
  if (memory.buffer !== wasm.memory.buffer) memory = new Uint8Array(wasm.memory.buffer);
  memory.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), input);
}

/** One llhttp state: taken from a pool for a head, kept for the message only when its body is chunked. */
export class Parser {
  readonly pointer: number;
  readonly type: number;

  constructor(type: number) {
    this.type = type;
    this.pointer = wasm.llhttp_alloc(type);
  }

  /** Of a request. */
  get method(): string {
    const number = wasm.llhttp_get_method(this.pointer);
    methodNames[number] ??= cString(wasm.llhttp_method_name(number));
    return methodNames[number];
  }

  get version(): string {
    return `${wasm.llhttp_get_http_major(this.pointer)}.${wasm.llhttp_get_http_minor(this.pointer)}`;
  }

  get minorVersion(): number {
    return wasm.llhttp_get_http_minor(this.pointer);
  }

  /**
   * Follows a chunked body. Returns how many bytes belong to the message: all of them, or fewer with `complete` set;
   * -1 when the body is malformed.
   */
  follow(chunk: Buffer): { bytes: number; complete: boolean } {
    for (let at = 0; at < chunk.length; at += INPUT_BYTES) {
      const end = Math.min(chunk.length, at + INPUT_BYTES);
      load(chunk, at, end);
      messageComplete = false;
      const code = wasm.llhttp_execute(this.pointer, input, end - at);
      if (messageComplete) return { bytes: at + wasm.llhttp_get_error_pos(this.pointer) - input, complete: true };
      if (code !== OK) return { bytes: -1, complete: false };
    }
    return { bytes: chunk.length, complete: false };
  }

  /** After a head: goes on with the body. */
  resume(): void {
    wasm.llhttp_resume(this.pointer);
  }

  release(): void {
    const pool = pools[this.type] as Parser[];
    if (pool.length < POOL_MAX) {
      wasm.llhttp_reset(this.pointer);
      pool.push(this);
    } else {
      wasm.llhttp_free(this.pointer);
    }
  }
}

function cString(pointer: number): string {
  if (memory.buffer !== wasm.memory.buffer) memory = new Uint8Array(wasm.memory.buffer);
  return Buffer.from(memory.subarray(pointer, memory.indexOf(0, pointer))).toString('latin1');
}

/**
 * Parses the head at the beginning of `bytes`; its offsets are in `spans` until the next call. A head that is not complete is to be
 * parsed again, from its first byte, when more is there. The caller owns the parser of a complete head.
 */
export function parseHead(kind: 'request' | 'response', bytes: Buffer): HeadResult {
  const type = kind === 'request' ? TYPE_REQUEST : TYPE_RESPONSE;
  const parser = (pools[type] as Parser[]).pop() ?? new Parser(type);
  const end = Math.min(bytes.length, INPUT_BYTES);
  load(bytes, 0, end);
  inputBase = input;
  spans.clear();
  lastWasName = false;
  collecting = true;
  const code = wasm.llhttp_execute(parser.pointer, input, end);
  collecting = false;
  if (code === PAUSED) return { kind: 'complete', bytes: wasm.llhttp_get_error_pos(parser.pointer) - input, parser };
  if (code === OK) {
    parser.release();
    return INCOMPLETE;
  }
  const reason = cString(wasm.llhttp_get_error_reason(parser.pointer));
  parser.release();
  return { kind: 'invalid', reason };
}
