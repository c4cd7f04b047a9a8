/**
 * A response that begins before there is an application for it: a client that wants an event stream hears comments while it is held, and then the
 * application's events follow in the same response (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 */
import { STATUS_CODES } from 'node:http';
import { dateLine } from './head/date.ts';
import { acceptsType } from './head/headers.ts';
import type { RequestHead } from './head/request-head.ts';
import { fieldsOf, type OwnResponse } from './own-responses.ts';
import type { HeadListener } from './response.ts';

/** The client's connection or stream. */
interface EventClient {
  write(bytes: Buffer): boolean;
  /** Null: it gets HTTP/1.1 as it is written. */
  readonly heads: HeadListener | null;
  readonly hasUnsent: boolean;
}

/** nginx passes it on at once. */
const FIELDS = 'Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n';
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const NO_TRAILERS: readonly string[] = [];

const EVENTS = /(^|,)\s*text\/event-stream\b/gi;

/** Its client takes an event stream. HTTP/1.0 has no chunks. */
export function wantsEvents(head: RequestHead): boolean {
  if (head.http10 || head.upgrade || (head.method !== 'GET' && head.method !== 'POST')) return false;
  return acceptsType(head.field('accept') ?? '', EVENTS);
}

export class EventStream implements HeadListener {
  /** The application's response is no event stream: its status. Null: it is one, or is still to come. */
  mismatch: number | null = null;
  readonly #client: EventClient;

  /** Begins the response. `more`: header lines, each with its CRLF. */
  constructor(client: EventClient, more: string) {
    this.#client = client;
    const lines = `${dateLine()}${FIELDS}${more}`;
    if (client.heads !== null) client.heads.respond(200, fieldsOf(lines), false, () => NO_TRAILERS);
    else client.write(Buffer.from(`HTTP/1.1 200 OK\r\n${lines}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n`));
  }

  /** `position`: in the line; null: not known. */
  comment(position: number | null): void {
    // A client that reads nothing gets no more.
    if (this.#client.heads === null && this.#client.hasUnsent) return;
    this.write(Buffer.from(position === null ? ': waiting\n\n' : `: waiting, number ${position} in line\n\n`));
  }

  /** Content. False: the client has yet to read what it has. */
  write(bytes: Buffer): boolean {
    if (this.#client.heads !== null) return this.#client.write(bytes);
    if (bytes.length === 0) return true;
    return this.#client.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  }

  end(): void {
    if (this.#client.heads === null) this.#client.write(LAST_CHUNK);
  }

  /** An event says what would have been the response, and when to come again. */
  fail({ status, lines, body }: Pick<OwnResponse, 'status' | 'lines' | 'body'>): void {
    const details = /^Proxy-Status: .*; details=(\w+)/m.exec(lines)?.[1] ?? null;
    const seconds = /^Retry-After: (\d+)/m.exec(lines)?.[1];
    const data = JSON.stringify({ status, details, message: body.split('\n', 1)[0] ?? '' });
    this.write(Buffer.from(`${seconds === undefined ? '' : `retry: ${seconds}000\n`}event: error\ndata: ${data}\n\n`));
    this.end();
  }

  /** The application answers with something else. */
  failWith(status: number): void {
    const body = `${status} ${STATUS_CODES[status] ?? ''}: the application's response is no event stream`;
    this.fail({ status, lines: '', body });
  }

  inform(): void {}

  respond(status: number, fields: readonly string[]): void {
    const value = (name: string): string => fields[fields.findIndex((text, i) => i % 2 === 0 && text === name) + 1] ?? '';
    const has = (name: string): boolean => fields.some((text, i) => i % 2 === 0 && text === name);
    const isEvents = has('content-type') && /^text\/event-stream\s*(;|$)/i.test(value('content-type'));
    const isPlain = !has('content-encoding') || value('content-encoding').toLowerCase() === 'identity';
    if (status !== 200 || !isEvents || !isPlain) this.mismatch = status;
  }
}
