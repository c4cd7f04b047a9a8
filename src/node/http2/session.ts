import type { Socket } from 'node:net';
import { attempt, caught, type FailureDomain, guard } from '../../boundary.ts';
import { PullproxyError } from '../../errors.ts';
import { ChurnSet } from '../../memory/churn-map.ts';
import type { PortClient } from '../clients/port-client.ts';
import type { ForwardedFrom } from '../http1/head/forwarding.ts';
import { firstLookMs } from '../http1/pace.ts';
import { ClientWire } from './client-wire.ts';
import type { OpenedRequest } from './request-fields.ts';
import { type Http2Service, StreamClient } from './stream-client.ts';

/** One client's HTTP/2 connection: each of its streams is an exchange of its own. */
export class Http2Connection implements PortClient, FailureDomain {
  readonly socket: Socket;
  deadline: number;
  place: number | null = null;
  readonly #service: Http2Service;
  readonly #from: ForwardedFrom;
  readonly #clients = new ChurnSet<StreamClient>();
  readonly #wire: ClientWire;

  constructor(socket: Socket, from: ForwardedFrom, service: Http2Service, gone: (connection: Http2Connection) => void) {
    this.socket = socket;
    this.#service = service;
    this.#from = { ...from, version: '2.0' };
    const { limits, windows } = service;
    this.deadline = performance.now() + limits.headTimeoutMs;
    // Here a half-close is an end.
    socket.allowHalfOpen = false;
    this.#wire = new ClientWire(socket, limits, windows, this, (request) => this.#opened(request));
    socket.on('error', () => {});
    const closed = guard(this, () => gone(this));
    socket.once('close', closed);
  }

  get where(): 'client' {
    return 'client';
  }

  fail(): void {
    this.#wire.destroy();
  }

  get paused(): boolean {
    return this.socket.isPaused();
  }

  timeOut(now: number): void {
    if (this.#clients.size === 0) {
      if (this.#wire.isLeaving) this.#wire.destroy();
      else this.#wire.close();
    }
    for (const client of this.#clients) attempt(client, () => client.lookForProgress(now));
    this.deadline = now + firstLookMs(this.#service.limits);
  }

  /** Streams that are there are served to their end; the client is told to open no more. */
  drain(now: number): void {
    this.#wire.close();
    this.deadline = Math.min(this.deadline, now + this.#service.limits.stallTimeoutMs);
  }

  endIdle(now: number): void {
    if (this.#clients.size === 0) this.drain(now);
  }

  clientVanished(): void {
    this.#wire.destroy();
  }

  #opened({ stream, fields, ended, fault }: OpenedRequest): void {
    const client = new StreamClient(stream, this.#service);
    if (this.#clients.size === 0) this.deadline = performance.now() + firstLookMs(this.#service.limits);
    this.#clients.add(client);
    stream.whenClosed = () => {
      this.#clients.delete(client);
      if (this.#clients.size === 0) this.deadline = performance.now() + this.#service.limits.keepAliveTimeoutMs;
    };
    try {
      if (fault === null) client.begin(fields, ended, this.#from);
      else client.refuse(faultError(fault), this.#from);
    } catch (error) {
      caught(client, error);
    }
  }
}

function faultError(fault: 'malformed' | 'too large'): PullproxyError {
  return fault === 'malformed' ? new PullproxyError('bad_request', 'a malformed field') : new PullproxyError('head_too_large');
}
