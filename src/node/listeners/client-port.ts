import { createServer, type Server, type Socket } from 'node:net';
import { bind } from '../../bind.ts';
import { attempt, type FailureDomain, guard } from '../../boundary.ts';
import { formatHostPort } from '../../config/host-port.ts';
import { reuseReads } from '../../memory/socket-handle.ts';
import { Origin } from '../clients/origin.ts';
import { PendingConnection, type PortClient } from '../clients/port-client.ts';
import { PortClients } from '../clients/port-clients.ts';
import type { AddressLimit } from './address-limit.ts';
import type { Step } from './before-request.ts';
import { Deadlines } from './deadlines.ts';

const BACKLOG = 4_096;
/** A closing port accepts connections from its backlog for at most this time. */
const LAST_ACCEPTS_MS = 1_000;
/** It closes after a turn of the event loop that was no longer than this, and than this share of the time that it has looked for one. */
const SHORT_TURN_MS = 0.5;
const LONGER_SHARE = 0.02;
/** For a PROXY header and a TLS handshake together. */
const BEFORE_REQUEST_TIMEOUT_MS = 10_000;
/** Idle connections that are closed in one turn of the event loop, so that a crowd does not delay other clients. */
const IDLE_ENDS_A_TURN = 100;

/** Called for a client that is gone; `successor` has its connection now. */
export type Gone = (client: PortClient, successor?: PortClient) => void;

/** Makes a client of a connection; calls `gone` once. */
export type Accept = (socket: Socket, origin: Origin, gone: Gone) => PortClient;

export interface PortLimits {
  /** Connections at once, those included that are no clients yet. */
  readonly connectionsMax: number;
  /** Connections of each address, over all ports of the node. */
  readonly addressLimit: AddressLimit;
  /** From its first byte to its first own byte: PROXY header and TLS handshake. */
  readonly beforeRequestTimeoutMs?: number;
}

/** A port at which clients connect: counts them, and has their deadlines looked at. */
export class ClientPort {
  readonly #scheme: string;
  readonly #server: Server;
  readonly #limits: PortLimits;
  readonly #steps: readonly Step[];
  readonly #accept: Accept;
  readonly #clients = new PortClients();
  #accepted = 0;
  #deadlines: Deadlines | null = null;

  /** `steps` come before a connection is accepted, in their order. */
  constructor(scheme: string, limits: PortLimits, steps: readonly Step[], accept: Accept) {
    this.#scheme = scheme;
    this.#limits = limits;
    this.#steps = steps;
    this.#accept = accept;
    // Half-open sockets: a tunnel passes half-closes on.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      accepted(socket, () => {
        this.#accepted++;
        const origin = new Origin(socket);
        const release = this.#clients.size >= limits.connectionsMax ? null : limits.addressLimit.reserve(origin.address);
        if (release === null) socket.destroy();
        else if (steps.length === 0) this.#admit(socket, origin, release);
        else this.#receive(socket, origin, release);
      }),
    );
  }

  /** Returns the URL that it listens at; other processes may listen there, too, if it is `shared`. */
  async listen(host: string, port: number, shared = false): Promise<string> {
    const bound = await bind(this.#server, { host, port, backlog: BACKLOG, reusePort: shared });
    // Steps take the socket over as Node makes it.
    if (this.#steps.length === 0) reuseReads(this.#server, 'shared', true);
    // A connection could not be accepted (no file descriptors, no memory): that client's loss, not the node's end.
    this.#server.on('error', () => {});
    this.#deadlines = new Deadlines(this.#clients);
    return `${this.#scheme}://${formatHostPort(bound)}`;
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Connections that are idle end within a moment: the way to this node may not last. */
  endIdle(): void {
    const clients = [...this.#clients.all()];
    const end = guard('timer', () => {
      const now = performance.now();
      for (const client of clients.splice(0, IDLE_ENDS_A_TURN)) attempt(client, () => client.endIdle?.(now));
      if (clients.length > 0) setImmediate(end);
    });
    // After what has arrived by now was read.
    setImmediate(end);
  }

  /** Accepts no more connections; open ones end as soon as nothing is cut off. Resolves when the port is closed. */
  async drain(): Promise<void> {
    await this.#takeWaiting();
    this.#server.close();
    const now = performance.now();
    for (const client of this.#clients.all()) attempt(client, () => client.drain(now));
  }

  close(): void {
    this.#server.close();
    this.#deadlines?.stop();
    for (const client of this.#clients.all()) client.socket.destroy();
  }

  /**
   * The kernel resets connections that it has let in and that the process has not accepted yet. Each turn of the event loop accepts one
   * (libuv's rule): after a turn that accepted none, only clients that came within that turn can still wait. So the turn has to be a short
   * one, not one in which this process did not get a processor.
   */
  async #takeWaiting(): Promise<void> {
    const from = performance.now();
    for (let now = from; now - from < LAST_ACCEPTS_MS; ) {
      const before = this.#accepted;
      // Two of these in a row span a whole turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      const began = performance.now();
      await new Promise((resolve) => setImmediate(resolve));
      now = performance.now();
      // It ends also when all turns are long.
      const longMs = SHORT_TURN_MS + (now - from) * LONGER_SHARE;
      if (this.#accepted === before && now - began <= longMs) return;
    }
  }

  #admit(socket: Socket, origin: Origin, release: () => void): void {
    const gone: Gone = (client, successor) => {
      this.#clients.delete(client);
      if (successor === undefined) release();
      else this.#clients.add(successor);
    };
    this.#clients.add(this.#accept(socket, origin, gone));
  }

  /** Goes through the steps, one after the other; what they make of the connection is admitted. */
  #receive(socket: Socket, peer: Origin, releasePeer: () => void): void {
    const pending = new PendingConnection(socket, performance.now() + (this.#limits.beforeRequestTimeoutMs ?? BEFORE_REQUEST_TIMEOUT_MS));
    this.#clients.add(pending);
    socket.on('error', () => {});
    const closed = guard('listener', () => {
      if (this.#clients.delete(pending)) releasePeer();
    });
    socket.once('close', closed);
    const take = (at: number, current: Socket, origin: Origin): void => {
      const step = this.#steps[at];
      if (step !== undefined) step(current, origin, (next, from) => take(at + 1, next, from));
      else if (this.#clients.delete(pending)) this.#admitFrom(current, origin, peer, releasePeer);
      else current.destroy();
    };
    take(0, socket, peer);
  }

  /** A client behind a proxy counts by its own address. */
  #admitFrom(socket: Socket, origin: Origin, { address: peer }: Origin, releasePeer: () => void): void {
    const { address } = origin;
    if (address !== peer) releasePeer();
    const release = address === peer ? releasePeer : this.#limits.addressLimit.reserve(address);
    if (release === null) socket.destroy();
    else this.#admit(socket, origin, release);
  }
}

/** An error while a connection is accepted closes that connection. */
function accepted(socket: Socket, admit: () => void): void {
  const domain: FailureDomain = { where: 'listener', fail: () => void socket.destroy() };
  attempt(domain, admit);
}
