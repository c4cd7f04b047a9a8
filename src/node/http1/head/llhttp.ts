/**
 * llhttp, Node's own HTTP parser, as the WebAssembly build that undici ships. Every head is parsed in one contiguous buffer,
 * so that headers are offsets into it and nothing is copied out that is not needed; the bytes of a body are shown
 * to the parser only when they are chunked.
 */
import { METHODS } from 'node:http';
import { createRequire } from 'node:module';
import { internalError } from '../../../boundary.ts';
import { HeadLines } from './head-lines.ts';

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
/** Where a head is expected the parser gets fewer bytes at a time: the bytes behind a head need not be copied. */
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

export type HeadResult =
  | { readonly kind: 'complete'; readonly bytes: number; readonly parser: Parser }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly reason: string };

const INCOMPLETE: HeadResult = { kind: 'incomplete' };

/** Within a call of llhttp_execute: whose it is. */
let executing: Parser | null = null;
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
      wasm_on_body: bounded((parser, at, length) => parser.onBody(at, length)),
      wasm_on_url: bounded((parser, at, length) => parser.onUrl(at, length)),
      wasm_on_header_field: bounded((parser, at, length) => parser.onName(at, length)),
      wasm_on_header_value: bounded((parser, at, length) => parser.onValue(at, length)),
      wasm_on_headers_complete: (_parser: number, status: number) => {
        if (executing !== null) executing.lines.status = status;
        return PAUSED;
      },
      wasm_on_message_complete: () => {
        if (executing !== null) executing.isComplete = true;
        return PAUSED;
      },
    },
  });
  return instance.exports as Exports;
}

/** An error in a callback must not unwind through WebAssembly, whose stack would not be restored: it makes the message malformed. */
function bounded(callback: (parser: Parser, at: number, length: number) => void) {
  return (_pointer: number, at: number, length: number): number => {
    try {
      callback(executing as Parser, at, length);
      return OK;
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
  readonly type: number;
  /** The lines of the head that it has parsed. */
  readonly lines = new HeadLines();
  /** The request's method where llhttp does not know it and read another one in its place. */
  unknownMethod: string | null = null;
  /** Whether the last `follow` came to the end of the message. */
  isComplete = false;
  /** Where in the chunk of the last `follow` the first trailer field begins; -1: it has none. */
  trailerAt = -1;
  /** Content in the chunk of the last `follow`, and in how many pieces it was. */
  contentBytes = 0;
  contentPieces = 0;
  readonly #pointer: number;
  /** The address in the input of what is at offset 0 of the bytes. */
  #base = 0;
  #readsHead = false;
  /** The chunk that is being followed, and where its content goes when somebody wants it without framing. */
  #followed: Buffer | null = null;
  #contents: Buffer[] | null = null;

  constructor(type: number) {
    this.type = type;
    this.#pointer = wasm.llhttp_alloc(type);
    // The WASM heap may have grown and moved: nothing else allocates in it.
    if (memory.length === 0) memory = new Uint8Array(wasm.memory.buffer);
    alive++;
  }

  /** The kind of message that it parses. */
  get message(): 'request' | 'response' {
    return this.type === TYPE_REQUEST ? 'request' : 'response';
  }

  /** The method of a request. */
  get method(): string {
    if (this.unknownMethod !== null) return this.unknownMethod;
    const number = wasm.llhttp_get_method(this.#pointer);
    methodNames[number] ??= cString(wasm.llhttp_method_name(number));
    return methodNames[number];
  }

  /** 1.0 or 1.1 as a minor version; -1: neither. */
  get minorVersion(): number {
    const minor = wasm.llhttp_get_http_minor(this.#pointer);
    return wasm.llhttp_get_http_major(this.#pointer) === 1 && minor <= 1 ? minor : -1;
  }

  /** Reads a head. Returns llhttp's code. */
  readHead(bytes: Buffer): number {
    let code = this.#execute(bytes, 0, HEAD_PIECE_BYTES);
    if (code === OK || code === PAUSED || this.type !== TYPE_REQUEST) return code;
    const method = unknownMethodOf(bytes);
    if (method === 'incomplete') return OK;
    if (method === null) return code;
    wasm.llhttp_reset(this.#pointer);
    memory.set(STAND_IN, input);
    executing = this;
    code = wasm.llhttp_execute(this.#pointer, input, STAND_IN.length);
    this.unknownMethod = method;
    return code === OK ? this.#execute(bytes, method.length, HEAD_PIECE_BYTES) : code;
  }

  get headBytes(): number {
    return wasm.llhttp_get_error_pos(this.#pointer) - this.#base;
  }

  get reason(): string {
    return cString(wasm.llhttp_get_error_reason(this.#pointer));
  }

  /**
   * Follows a chunked body. Returns how many bytes belong to the message: all of them, or up to its end when `isComplete` says so
   * afterwards; -1 when the body is malformed. The content without chunk framing is added to `contents`, as parts of `chunk`.
   */
  follow(chunk: Buffer, contents: Buffer[] | null): number {
    this.#followed = chunk;
    this.#contents = contents;
    this.trailerAt = -1;
    this.contentBytes = this.contentPieces = 0;
    const code = this.#execute(chunk, 0, INPUT_BYTES);
    this.#followed = this.#contents = null;
    if (this.isComplete) return wasm.llhttp_get_error_pos(this.#pointer) - this.#base;
    return code === OK ? chunk.length : -1;
  }

  /** Shows llhttp what comes from offset `from` on, in pieces. */
  #execute(bytes: Buffer, from: number, pieceBytes: number): number {
    this.isComplete = false;
    this.#readsHead = this.#followed === null;
    if (this.#readsHead) this.lines.clear(bytes);
    const end = this.#readsHead ? Math.min(bytes.length, INPUT_BYTES) : bytes.length;
    let code = OK;
    for (let at = from; at < end && code === OK; at += pieceBytes) {
      const next = Math.min(end, at + pieceBytes);
      load(bytes, at, next);
      this.#base = input - at;
      executing = this;
      code = wasm.llhttp_execute(this.#pointer, input, next - at);
    }
    executing = null;
    return code;
  }

  // ── llhttp's calls, with addresses in the input ──

  onUrl(at: number, length: number): void {
    this.lines.addUrl(at - this.#base, length);
  }

  onName(at: number, length: number): void {
    if (this.#readsHead) this.lines.addName(at - this.#base, length);
    else if (this.trailerAt === -1) this.trailerAt = at - this.#base;
  }

  onValue(at: number, length: number): void {
    if (this.#readsHead) this.lines.addValue(at - this.#base, length);
  }

  onBody(at: number, length: number): void {
    this.contentBytes += length;
    this.contentPieces++;
    const start = at - this.#base;
    if (this.#followed !== null) this.#contents?.push(this.#followed.subarray(start, start + length));
  }

  /** After a head: goes on with a chunked body. */
  resume(): void {
    wasm.llhttp_resume(this.#pointer);
  }

  /** Its head was read. `isOver`: no chunked body follows that it is needed for. */
  headRead(isOver: boolean): void {
    if (isOver) this.release();
    else this.lines.clear();
  }

  release(): void {
    this.unknownMethod = null;
    this.lines.clear();
    const pool = pools[this.type] as Parser[];
    if (pool.length < POOL_MAX) {
      wasm.llhttp_reset(this.#pointer);
      pool.push(this);
    } else {
      wasm.llhttp_free(this.#pointer);
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
 * Parses the head at the beginning of `bytes`. A head that is not complete is to be parsed again, from its first byte, when more is there.
 * The caller owns the parser of a complete head, with the head's lines in it.
 */
export function parseHead(kind: 'request' | 'response', bytes: Buffer): HeadResult {
  const type = kind === 'request' ? TYPE_REQUEST : TYPE_RESPONSE;
  const parser = (pools[type] as Parser[]).pop() ?? new Parser(type);
  const code = parser.readHead(bytes);
  if (code === PAUSED) return { kind: 'complete', bytes: parser.headBytes, parser };
  const reason = code === OK ? '' : parser.reason;
  parser.release();
  return code === OK ? INCOMPLETE : { kind: 'invalid', reason };
}
