import { constants, type IncomingHttpHeaders, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { attempt, caught, type FailureDomain, guard } from '../../boundary.ts';
import { TurnoverSet } from '../../turnover.ts';
import type { ForwardedFrom } from '../http1/forwarding.ts';
import type { PortClient } from '../listeners/port-client.ts';
import { BLOCK_BYTES_MAX } from './fields.ts';
import { type Http2Service, StreamClient } from './stream-client.ts';

/** What one connection may do. Each was the way of an attack. */
export const HTTP2_LIMITS = {
  /** Requests at once. */
  concurrentStreamsMax: 100,
  /** Streams that a client may break off at once, and then in each second (CVE-2023-44487, rapid reset). */
  resetsMax: 200,
  resetsPerSecondMax: 20,
  /** SETTINGS and PING frames within CONTROL_WINDOW_MS (CVE-2019-9512, CVE-2019-9515). */
  controlFramesMax: 200,
  /** Entries of one SETTINGS frame. */
  settingsMax: 32,
  /** Fields of one head; its bytes are bounded as those of HTTP/1.1 are. */
  fieldsMax: 128,
  /** Frames that mean nothing to us, and streams that were refused. */
  invalidFramesMax: 100,
  rejectedStreamsMax: 100,
  /** Memory that one session may occupy, in MB. */
  sessionMegabytesMax: 4,
} as const;

const CONTROL_WINDOW_MS = 10_000;
/** Of each field, by which RFC 9113 section 10.5.1 counts a head. */
const FIELD_OVERHEAD_BYTES = 32;

/** One client's HTTP/2 connection: each of its streams is an exchange of its own. */
export class Http2Connection implements PortClient, FailureDomain {
  readonly socket: Socket;
  readonly paused = false;
  deadline: number;
  place: number | null = null;
  readonly #session: ServerHttp2Session;
  readonly #service: Http2Service;
  readonly #from: ForwardedFrom;
  readonly #clients = new TurnoverSet<StreamClient>();
  readonly #stallTimeoutMs: number;
  #controlFrames = 0;
  #controlSince = performance.now();

  constructor(socket: Socket, from: ForwardedFrom, service: Http2Service, gone: (connection: Http2Connection) => void) {
    this.socket = socket;
    this.#service = service;
    this.#from = { ...from, version: '2.0' };
    this.#stallTimeoutMs = service.stallTimeoutMs;
    this.deadline = performance.now() + service.headTimeoutMs;
    // Here a half-close is an end.
    socket.allowHalfOpen = false;
    this.#session = performServerHandshake(socket, optionsFor(service.headBytesMax));
    const streamed = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, fields?: string[]): void =>
      this.#streamed(stream, String(headers[':method']), flags, fields ?? []);
    const countControlFrame = guard(this, () => this.#countControlFrame());
    this.#session.on('stream', guard(this, streamed));
    this.#session.on('remoteSettings', countControlFrame);
    this.#session.on('ping', countControlFrame);
    // 'close' follows.
    this.#session.on('error', () => {});
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

  timeOut(now: number): void {
    if (this.#clients.size === 0) {
      if (this.#session.closed) this.#session.destroy();
      else this.#session.close();
    }
    for (const client of this.#clients) attempt(client, () => client.lookForProgress());
    this.deadline = now + this.#stallTimeoutMs;
  }

  /** Streams that are there are served to their end; the client is told to open no more. */
  drain(now: number): void {
    this.#session.close();
    this.deadline = Math.min(this.deadline, now + this.#stallTimeoutMs);
  }

  clientVanished(): void {
    this.#session.destroy();
  }

  #streamed(stream: ServerHttp2Stream, method: string, flags: number, fields: readonly string[]): void {
    const client = new StreamClient(stream, method, this.#service);
    if (this.#clients.size === 0) this.deadline = performance.now() + this.#stallTimeoutMs;
    this.#clients.add(client);
    const closed = guard(this, () => {
      this.#clients.delete(client);
      if (this.#clients.size === 0) this.deadline = performance.now() + this.#service.keepAliveTimeoutMs;
    });
    stream.once('close', closed);
    try {
      client.begin(fields, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0, this.#from);
    } catch (error) {
      caught(client, error);
    }
  }

  #countControlFrame(): void {
    const now = performance.now();
    if (now - this.#controlSince > CONTROL_WINDOW_MS) {
      this.#controlSince = now;
      this.#controlFrames = 0;
    }
    if (++this.#controlFrames <= HTTP2_LIMITS.controlFramesMax) return;
    this.#session.destroy(new Error('too many SETTINGS or PING frames'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

function optionsFor(headBytesMax: number) {
  return {
    maxSettings: HTTP2_LIMITS.settingsMax,
    maxSendHeaderBlockLength: BLOCK_BYTES_MAX,
    strictSingleValueFields: false,
    maxSessionMemory: HTTP2_LIMITS.sessionMegabytesMax,
    maxHeaderListPairs: HTTP2_LIMITS.fieldsMax,
    maxSessionInvalidFrames: HTTP2_LIMITS.invalidFramesMax,
    maxSessionRejectedStreams: HTTP2_LIMITS.rejectedStreamsMax,
    streamResetBurst: HTTP2_LIMITS.resetsMax,
    streamResetRate: HTTP2_LIMITS.resetsPerSecondMax,
    settings: {
      maxConcurrentStreams: HTTP2_LIMITS.concurrentStreamsMax,
      maxHeaderListSize: headBytesMax + HTTP2_LIMITS.fieldsMax * FIELD_OVERHEAD_BYTES,
      enablePush: false,
    },
  };
}

/** What a client says first that knows beforehand that HTTP/2 is spoken here (RFC 9113 section 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Whether `bytes` are, or may become, the beginning of HTTP/2. */
export function beginsHttp2(bytes: Buffer): 'yes' | 'no' | 'perhaps' {
  const length = Math.min(bytes.length, PREFACE.length);
  if (PREFACE.compare(bytes, 0, length, 0, length) !== 0) return 'no';
  return length === PREFACE.length ? 'yes' : 'perhaps';
}
