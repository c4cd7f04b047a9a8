/**
 * llhttp, Node's own HTTP parser, as the WebAssembly build that undici ships. Every head is parsed in one contiguous buffer,
 * so that headers are offsets into it and nothing is copied out that is not needed; the bytes of a body are shown
 * to the parser only when they are chunked.
 */
import { METHODS } from 'node:http';
import { createRequire } from 'node:module';
import { internalError } from '../../../boundary.ts';
import { HeadSpans } from './head-spans.ts';

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
const FAILED = -1;

/** Bytes shown to the parser at a time. */
const INPUT_BYTES = 65_536;
/** Of what begins with a head less is shown at a time: the bytes behind a head need not be copied. */
const HEAD_PIECE_BYTES = 4_096;
/** Longer methods are refused. The longest that has a name is 17 bytes long (UPDATEREDIRECTREF). nginx and HAProxy pass longer ones, too. */
const METHOD_BYTES_MAX = 1_024;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const SPACE = 0x20;
/** PRI begins HTTP/2 and nothing else (RFC 9113 section 11.6). */
const KNOWN_METHODS: ReadonlySet<string> = new Set([...METHODS, 'PRI']);
/** Replaces a method that llhttp does not know: a method without rules of its own. */
const STAND_IN = Buffer.from('POST');
/** Idle parsers kept for the next messages. */
const POOL_MAX = 1_024;

/** Of the head that was parsed last, in the buffer given to `parseHead`; overwritten by the next call. */
export const spans = new HeadSpans();

export type HeadResult =
  | { readonly kind: 'complete'; readonly bytes: number; readonly parser: Parser }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly reason: string };

const INCOMPLETE: HeadResult = { kind: 'incomplete' };

let inputBase = 0;
let collecting = false;
let messageComplete = false;
/** The chunk that is being followed, and where its content goes when somebody wants it without framing. */
let followed: Buffer | null = null;
/** Where the first trailer field of the followed chunk begins; -1: it has none. */
let trailerAt = -1;
let content: Buffer[] | null = null;
/** How much content the followed chunk has, and in how many pieces the parser has reported it. */
let contentBytes = 0;
let contentPieces = 0;
let alive = 0;

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
      wasm_on_body: bounded((_parser: number, at: number, length: number) => {
        contentBytes += length;
        contentPieces++;
        if (content !== null && followed !== null) content.push(followed.subarray(at - inputBase, at - inputBase + length));
        return OK;
      }),
      wasm_on_url: bounded((_parser: number, at: number, length: number) => {
        spans.addUrl(at - inputBase, length);
        return OK;
      }),
      wasm_on_header_field: bounded((_parser: number, at: number, length: number) => {
        if (collecting) spans.addName(at - inputBase, length);
        else if (trailerAt === -1) trailerAt = at - inputBase;
        return OK;
      }),
      wasm_on_header_value: bounded((_parser: number, at: number, length: number) => {
        if (collecting) spans.addValue(at - inputBase, length);
        return OK;
      }),
      wasm_on_headers_complete: (_parser: number, status: number) => {
        spans.status = status;
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

/** An error in a callback must not unwind through WebAssembly, whose stack would not be restored: it makes the message malformed. */
function bounded(callback: (parser: number, at: number, length: number) => number): typeof callback {
  return (parser, at, length) => {
    try {
      return callback(parser, at, length);
    } catch (error) {
      internalError('visit', error);
      return FAILED;
    }
  };
}

function load(bytes: Buffer, start: number, end: number): void {
  memory.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), input);
}

/** One llhttp state: taken from a pool for a head, kept for the message only when its body is chunked. */
export class Parser {
  readonly pointer: number;
  readonly type: number;
  /** The request's method where llhttp does not know it and read another one in its place. */
  unknownMethod: string | null = null;

  constructor(type: number) {
    this.type = type;
    this.pointer = wasm.llhttp_alloc(type);
    // The WASM heap may have grown and moved: nothing else allocates in it.
    if (memory.length === 0) memory = new Uint8Array(wasm.memory.buffer);
    alive++;
  }

  /** What it parses. */
  get message(): 'request' | 'response' {
    return this.type === TYPE_REQUEST ? 'request' : 'response';
  }

  /** Of a request. */
  get method(): string {
    if (this.unknownMethod !== null) return this.unknownMethod;
    const number = wasm.llhttp_get_method(this.pointer);
    methodNames[number] ??= cString(wasm.llhttp_method_name(number));
    return methodNames[number];
  }

  /** 1.0 or 1.1 as a minor version; -1: neither. */
  get minorVersion(): number {
    const minor = wasm.llhttp_get_http_minor(this.pointer);
    return wasm.llhttp_get_http_major(this.pointer) === 1 && minor <= 1 ? minor : -1;
  }

  /**
   * Follows a chunked body. Returns how many bytes belong to the message: all of them, or up to its end when `isComplete` says so
   * afterwards; -1 when the body is malformed. The content without chunk framing is added to `contents`, as parts of `chunk`.
   */
  follow(chunk: Buffer, contents: Buffer[] | null): number {
    followed = chunk;
    content = contents;
    messageComplete = false;
    trailerAt = -1;
    contentBytes = contentPieces = 0;
    const bytes = this.#execute(chunk);
    followed = content = null;
    return bytes;
  }

  /** Whether the last `follow`, of this parser, came to the end of the message. */
  get isComplete(): boolean {
    return messageComplete;
  }

  /** Where in the chunk of the last `follow`, of this parser, the first trailer field begins; -1: it has none. */
  get trailerAt(): number {
    return trailerAt;
  }

  /** Content in the chunk of the last `follow`, of this parser. */
  get contentBytes(): number {
    return contentBytes;
  }

  /** In how many pieces it was. */
  get contentPieces(): number {
    return contentPieces;
  }

  #execute(chunk: Buffer): number {
    for (let at = 0; at < chunk.length; at += INPUT_BYTES) {
      const end = Math.min(chunk.length, at + INPUT_BYTES);
      load(chunk, at, end);
      inputBase = input - at;
      const code = wasm.llhttp_execute(this.pointer, input, end - at);
      if (messageComplete) return at + wasm.llhttp_get_error_pos(this.pointer) - input;
      if (code !== OK) return -1;
    }
    return chunk.length;
  }

  /** After a head: goes on with the body. */
  resume(): void {
    wasm.llhttp_resume(this.pointer);
  }

  release(): void {
    this.unknownMethod = null;
    const pool = pools[this.type] as Parser[];
    if (pool.length < POOL_MAX) {
      wasm.llhttp_reset(this.pointer);
      pool.push(this);
    } else {
      wasm.llhttp_free(this.pointer);
      alive--;
    }
  }
}

/** Parsers that exist, and those of them that wait in a pool: the others belong to messages that are being read. */
export function parserCounts(): { alive: number; pooled: number } {
  return { alive, pooled: Object.values(pools).reduce((sum, pool) => sum + pool.length, 0) };
}

function cString(pointer: number): string {
  return Buffer.from(memory.subarray(pointer, memory.indexOf(0, pointer))).toString('latin1');
}

/** Shows the parser the bytes of a head from offset `from` on. Returns llhttp's code. */
function executeHead(parser: Parser, bytes: Buffer, from: number, before: number): number {
  const end = Math.min(bytes.length, INPUT_BYTES);
  spans.clear();
  collecting = true;
  let code = before;
  for (let at = from; at < end && code === OK; at += HEAD_PIECE_BYTES) {
    const next = Math.min(end, at + HEAD_PIECE_BYTES);
    load(bytes, at, next);
    inputBase = input - at;
    code = wasm.llhttp_execute(parser.pointer, input, next - at);
  }
  collecting = false;
  return code;
}

/**
 * The method of a request that llhttp refused, if that may be because llhttp does not know it: a method is any token (RFC 9110 section
 * 9.1). 'incomplete': it may become one. Null: something else is wrong.
 */
function unknownMethodOf(bytes: Buffer): string | 'incomplete' | null {
  const end = bytes.indexOf(SPACE);
  const method = bytes.toString('latin1', 0, Math.min(METHOD_BYTES_MAX + 1, end === -1 ? bytes.length : end));
  if (method.length > METHOD_BYTES_MAX || !TOKEN.test(method)) return null;
  if (end === -1) return 'incomplete';
  return KNOWN_METHODS.has(method) ? null : method;
}

/**
 * Parses the head at the beginning of `bytes`; its offsets are in `spans` until the next call. A head that is not complete is to be
 * parsed again, from its first byte, when more is there. The caller owns the parser of a complete head.
 */
export function parseHead(kind: 'request' | 'response', bytes: Buffer): HeadResult {
  const type = kind === 'request' ? TYPE_REQUEST : TYPE_RESPONSE;
  const parser = (pools[type] as Parser[]).pop() ?? new Parser(type);
  let code = executeHead(parser, bytes, 0, OK);
  if (code !== OK && code !== PAUSED && kind === 'request') {
    const method = unknownMethodOf(bytes);
    if (method === 'incomplete') {
      parser.release();
      return INCOMPLETE;
    }
    if (method !== null) {
      wasm.llhttp_reset(parser.pointer);
      memory.set(STAND_IN, input);
      inputBase = input;
      code = wasm.llhttp_execute(parser.pointer, input, STAND_IN.length);
      code = executeHead(parser, bytes, method.length, code);
      parser.unknownMethod = method;
    }
  }
  if (code === PAUSED) return { kind: 'complete', bytes: wasm.llhttp_get_error_pos(parser.pointer) - inputBase, parser };
  if (code === OK) {
    parser.release();
    return INCOMPLETE;
  }
  const reason = cString(wasm.llhttp_get_error_reason(parser.pointer));
  parser.release();
  return { kind: 'invalid', reason };
}
