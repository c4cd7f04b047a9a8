import { constants } from 'node:http2';
import { guard } from '../../boundary.ts';
import { ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import type { NodeLink } from '../../link/node-link.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import type { Ownership } from '../../memory/reused-reads.ts';
import type { ApplicationStream, ApplicationStreamOwner } from './application-stream.ts';
import { ApplicationWire, type ApplicationWireEvents } from './application-wire.ts';
import type { Fields } from './fields.ts';
import type { WireLimits } from './http2-limits.ts';

const { NGHTTP2_NO_ERROR } = constants;

/** The exchange that a session serves. */
export interface SessionOwner {
  readonly where: 'visit';
  fail(): void;
  /** It does not keep the instance awake. */
  readonly quiet: boolean;
  readonly cost: number;
  /** Opens the stream that carries the session, on an idle slot of the link. */
  openStream(handler: StreamHandler, opening: Buffer): Stream;
  /** The application speaks HTTP/2: requests may be sent. */
  sessionReady(): void;
  /** The session is gone, with every stream of it. Not told when the response was complete before: the stream's `closed` is. */
  sessionClosed(): void;
  /** The application's limit was lowered meanwhile: the linker keeps what is for it. */
  onWaits(): void;
  /** How long connecting to the application took, where that is asked for. */
  onConnected(microseconds: number): void;
}

/**
 * One HTTP/2 connection to an application. It serves one exchange at a time, so that an application sees no more requests at once than it
 * has slots. Between two exchanges it is parked: it occupies no slot, and the linker closes it when it needs its place.
 */
export class ApplicationSession implements StreamHandler, ApplicationWireEvents {
  /** Parked ones of each link, the one that was used last at the end. */
  static readonly #parked = new WeakMap<NodeLink, ApplicationSession[]>();
  /** It has served an exchange before. */
  reused = false;
  /** Why the linker ended it. */
  verdict: ResetCodeValue = ResetCode.CLOSED;
  /** A byte of the present exchange may have reached the application. */
  reached = true;
  readonly #link: NodeLink;
  readonly #wire: ApplicationWire;
  readonly #patience: NodeJS.Timeout;
  /** The link's stream that carries it; null: it is gone. */
  #stream: Stream | null;
  #owner: SessionOwner | null;
  #isReady = false;
  /** Its SETTINGS let at least one request through. */
  #allowsStreams = true;

  /** Takes the slot of a parked session's next exchange; null: none is parked on this link. */
  static take(link: NodeLink, owner: SessionOwner): ApplicationSession | null {
    const parked = ApplicationSession.#parked.get(link);
    for (let session = parked?.pop(); session !== undefined; session = parked?.pop()) {
      const stream = session.#stream;
      if (!session.#isUsable || stream === null) continue;
      link.unpark(stream, owner.quiet, owner.cost);
      session.#owner = owner;
      session.reused = true;
      session.reached = true;
      return session;
    }
    return null;
  }

  /**
   * Connects to the application on an idle slot of the link. `sessionReady` follows, or `sessionClosed`. An application that has not said its
   * first words after `patienceMs` does not speak HTTP/2.
   */
  constructor(link: NodeLink, owner: SessionOwner, patienceMs: number, limits: WireLimits) {
    this.#link = link;
    this.#owner = owner;
    this.#wire = new ApplicationWire(limits, this);
    this.#stream = owner.openStream(this, ApplicationWire.opening());
    const impatient = guard(this, () => this.#end());
    this.#patience = setTimeout(impatient, patienceMs);
  }

  get where(): 'visit' {
    return 'visit';
  }

  fail(): void {
    const owner = this.#owner;
    if (owner !== null) owner.fail();
    else this.#end();
  }

  /** Null: no request can be that large. */
  request(fields: Fields, hasBody: boolean, owner: ApplicationStreamOwner): ApplicationStream | null {
    return this.#wire.request(fields, hasBody, owner);
  }

  /** It waits at the linker: it is to come back. */
  takeBack(): void {
    this.#stream?.takeBack();
  }

  /** The exchange is over. `clean`: nothing of it is left in the session, which may serve another. */
  release(clean: boolean): void {
    this.#owner = null;
    if (this.#stream !== null && !(clean && this.#park())) this.#end();
  }

  #park(): boolean {
    const stream = this.#stream;
    // Frames that the exchange has written belong before it.
    this.#wire.flush();
    if (stream === null || !this.#link.parks || !this.#isUsable) return false;
    const parked = ApplicationSession.#parked.get(this.#link) ?? [];
    if (parked.length === 0) ApplicationSession.#parked.set(this.#link, parked);
    // First: the slot that becomes idle may serve the next client at once, and that one is to find this session.
    parked.push(this);
    if (this.#link.park(stream)) return true;
    parked.pop();
    return false;
  }

  /** An application that is about to close has said so by GOAWAY, or allows no stream. */
  get #isUsable(): boolean {
    return this.#allowsStreams && this.#wire.isUsable && this.#stream !== null;
  }

  // ── the wire's side ──

  /** The link takes no more before `onDrain`. */
  isFull = false;

  get heldBytes(): number {
    return this.#stream?.pendingBytes ?? 0;
  }

  carry(frames: readonly Buffer[]): void {
    for (const frame of frames) if (this.#stream?.write(frame) === false) this.isFull = true;
  }

  said(text: string): void {
    if (this.#stream !== null) this.#link.said(this.#stream, text);
  }

  /** Without a request the session is of no more use. */
  leaving(): void {
    if (this.#owner === null) this.#end();
  }

  broken(): void {
    this.#gone();
  }

  settled(allowsStreams: boolean): void {
    this.#allowsStreams = allowsStreams;
    // A request would wait, with its slot, until the application allows it.
    if (!allowsStreams) {
      if (this.#owner === null) this.#end();
    } else if (!this.#isReady) {
      this.#isReady = true;
      clearTimeout(this.#patience);
      this.#owner?.sessionReady();
    }
  }

  #end(): void {
    this.#wire.end(NGHTTP2_NO_ERROR);
    this.#gone();
  }

  /** Its end gives the slot back, if it has one. */
  #gone(): void {
    clearTimeout(this.#patience);
    const stream = this.#stream;
    this.#stream = null;
    if (stream !== null) this.#link.doneAndClose(stream);
    const parked = ApplicationSession.#parked.get(this.#link);
    const at = parked?.indexOf(this) ?? -1;
    if (at !== -1) parked?.splice(at, 1);
    const owner = this.#owner;
    this.#owner = null;
    const request = this.#wire.current;
    // Its owner may still read.
    if (owner !== null && request?.isAnswered === true) request.connectionGone();
    else {
      request?.forget();
      owner?.sessionClosed();
    }
  }

  // ── the link's side ──

  onData(chunk: Buffer): Ownership {
    const ownership = this.#wire.receive(chunk);
    this.#stream?.consumed(chunk.length);
    return ownership;
  }

  onEnd(): void {
    this.#end();
  }

  onDrain(): void {
    this.isFull = false;
    this.#wire.drained();
  }

  onReset(code: ResetCodeValue, reached: boolean): void {
    this.#stream = null;
    this.verdict = code;
    this.reached = reached;
    this.#end();
  }

  onWaits(): void {
    // A parked session has no owner.
    this.#owner?.onWaits();
  }

  onConnected(microseconds: number): void {
    this.#owner?.onConnected(microseconds);
  }
}
