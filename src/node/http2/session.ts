import { constants, type IncomingHttpHeaders, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { attempt, caught, type FailureDomain, guard } from '../../boundary.ts';
import type { ClientLimits } from '../../config/listener-settings.ts';
import { PullproxyError } from '../../errors.ts';
import { ChurnSet } from '../../memory/churn-map.ts';
import type { PortClient } from '../clients/port-client.ts';
import type { ForwardedFrom } from '../http1/head/forwarding.ts';
import { HEADERS_MAX } from '../http1/head/head-spans.ts';
import { firstLookMs } from '../http1/pace.ts';
import { ClientWire } from './client-wire.ts';
import { BLOCK_BYTES_MAX } from './fields.ts';
import { HTTP2_LIMITS, wireLimits } from './http2-limits.ts';
import { letGo } from './session-error.ts';
import { type Http2Service, StreamClient } from './stream-client.ts';

/** The wire counts, not Node, which does over a connection's whole life. */
const UNLIMITED = 2 ** 32 - 1;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** Node takes what comes off the connection's window at once: this one only has to fill the line. */
const CONNECTION_WINDOW_BYTES = 32 * 1_048_576;
/** Of each field, by which RFC 9113 section 10.5.1 counts a head. */
const FIELD_OVERHEAD_BYTES = 32;

/** One client's HTTP/2 connection: each of its streams is an exchange of its own. */
export class Http2Connection implements PortClient, FailureDomain {
  readonly socket: Socket;
  deadline: number;
  place: number | null = null;
  readonly #session: ServerHttp2Session;
  readonly #service: Http2Service;
  readonly #from: ForwardedFrom;
  readonly #clients = new ChurnSet<StreamClient>();
  readonly #stallTimeoutMs: number;
  readonly #wire: ClientWire;

  constructor(socket: Socket, from: ForwardedFrom, service: Http2Service, gone: (connection: Http2Connection) => void) {
    this.socket = socket;
    this.#service = service;
    this.#from = { ...from, version: '2.0' };
    this.#stallTimeoutMs = service.limits.stallTimeoutMs;
    this.deadline = performance.now() + service.limits.headTimeoutMs;
    // Here a half-close is an end.
    socket.allowHalfOpen = false;
    this.#wire = new ClientWire(socket, wireLimits(service.limits), service.windows, this, (code, reason) => {
      if (!this.#session.destroyed) this.#session.destroy(new Error(reason), code);
    });
    this.#session = performServerHandshake(this.#wire, optionsFor(service.limits));
    this.#session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    const streamed = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, fields?: string[]): void =>
      this.#streamed(stream, String(headers[':method']), flags, fields ?? []);
    this.#session.on('stream', guard(this, streamed));
    this.#session.on('error', letGo);
    socket.on('error', () => {});
    const closed = guard(this, () => gone(this));
    socket.once('close', closed);
  }

  get where(): 'client' {
    return 'client';
  }

  fail(): void {
    this.socket.destroy();
  }

  get paused(): boolean {
    return this.socket.isPaused();
  }

  timeOut(now: number): void {
    if (this.#clients.size === 0) {
      if (this.#session.closed) this.#session.destroy();
      else this.#session.close();
    }
    for (const client of this.#clients) attempt(client, () => client.lookForProgress(now));
    this.deadline = now + firstLookMs(this.#service.limits);
  }

  /** Streams that are there are served to their end; the client is told to open no more. */
  drain(now: number): void {
    this.#session.close();
    this.deadline = Math.min(this.deadline, now + this.#stallTimeoutMs);
  }

  endIdle(now: number): void {
    if (this.#clients.size === 0) this.drain(now);
  }

  clientVanished(): void {
    this.#session.destroy();
  }

  #streamed(stream: ServerHttp2Stream, method: string, flags: number, fields: readonly string[]): void {
    // As `Connection: close` does: what comes next comes on another connection, perhaps to another node.
    if (this.#service.draining && !this.#session.closed) this.#session.close();
    const client = new StreamClient(stream, method, this.#service);
    if (this.#clients.size === 0) this.deadline = performance.now() + firstLookMs(this.#service.limits);
    this.#clients.add(client);
    client.whenSent(() => this.#wire.judge.sentOn(stream.id ?? 0));
    const closed = guard(this, () => {
      this.#clients.delete(client);
      if (this.#clients.size === 0) this.deadline = performance.now() + this.#service.limits.keepAliveTimeoutMs;
    });
    stream.once('close', closed);
    const ended = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    try {
      if (!ended) this.#receiveBody(stream, client);
      if (this.#wire.judge.isMalformed(stream.id as number))
        client.refuse(new PullproxyError('bad_request', 'a malformed field'), this.#from);
      else client.begin(fields, ended, this.#from);
    } catch (error) {
      caught(client, error);
    }
  }

  #receiveBody(stream: ServerHttp2Stream, client: StreamClient): void {
    const id = stream.id as number;
    const upload = this.#wire.judge.uploadOf(id);
    if (upload === null) return;
    client.whenTaken(() => this.#wire.judge.renew(id, upload, stream.readableLength));
    const release = guard(this, () => upload.release());
    stream.once('close', release);
    // Malformed trailers make the whole request malformed (RFC 9113 section 8.1.1).
    const trailers = guard(this, () => {
      if (!this.#wire.judge.isMalformed(id)) return;
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
      // Its body would end otherwise as if it were whole.
      stream.destroy(new Error('malformed trailers'));
    });
    stream.prependListener('trailers', trailers);
  }
}

function optionsFor({ headBytesMax, http2StreamsMax }: ClientLimits) {
  const fieldsMax = HEADERS_MAX + HTTP2_LIMITS.cookieCrumbsMax;
  return {
    maxSettings: HTTP2_LIMITS.settingsMax,
    maxSendHeaderBlockLength: BLOCK_BYTES_MAX,
    strictSingleValueFields: false,
    maxSessionMemory: HTTP2_LIMITS.sessionMegabytesMax,
    maxHeaderListPairs: fieldsMax,
    maxSessionInvalidFrames: UNLIMITED,
    maxSessionRejectedStreams: UNLIMITED,
    streamResetBurst: UNLIMITED,
    streamResetRate: UNLIMITED,
    // White space around a value is taken off where the head is read, as that of HTTP/1.1 is; nghttp2 would drop the field.
    strictFieldWhitespaceValidation: false,
    settings: {
      maxConcurrentStreams: http2StreamsMax,
      maxHeaderListSize: headBytesMax + fieldsMax * FIELD_OVERHEAD_BYTES,
      initialWindowSize: WINDOW_BYTES_MAX,
      enablePush: false,
    },
  };
}

/** The first bytes of a client with prior knowledge of HTTP/2 (RFC 9113 section 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Whether `bytes` are, or may become, the beginning of HTTP/2. */
export function beginsHttp2(bytes: Buffer): 'yes' | 'no' | 'perhaps' {
  const length = Math.min(bytes.length, PREFACE.length);
  if (PREFACE.compare(bytes, 0, length, 0, length) !== 0) return 'no';
  return length === PREFACE.length ? 'yes' : 'perhaps';
}
