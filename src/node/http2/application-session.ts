import { type ClientHttp2Session, connect, constants, type Settings } from 'node:http2';
import { guard } from '../../boundary.ts';
import { Flag, ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import type { NodeLink } from '../../link/node-link.ts';
import { WINDOW_BYTES } from '../../link/stream.ts';
import { ApplicationFrames } from './application-frames.ts';
import { ApplicationStream, type ApplicationStreamOwner } from './application-stream.ts';
import { BLOCK_BYTES_MAX, type Fields } from './fields.ts';
import type { WireLimits } from './http2-limits.ts';
import { LinkDuplex } from './link-duplex.ts';
import { letGo } from './session-error.ts';

const EMPTY = Buffer.alloc(0);
/** Fields of an answer's head; its bytes are bounded by Node's default, 64 KiB. */
const RESPONSE_FIELDS_MAX = 1_024;
/** What the session needs to be told beside each request's own fields. */
const APPLICATION = 'http://application';
const OPTIONS = {
  maxHeaderListPairs: RESPONSE_FIELDS_MAX,
  maxSendHeaderBlockLength: BLOCK_BYTES_MAX,
  strictSingleValueFields: false,
  // nghttp2 would drop a field with white space around its value.
  strictFieldWhitespaceValidation: false,
  // Nobody would read what is pushed. The link's window is the narrow place, as it is for HTTP/1.1, however far away the application is.
  settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
} as const;

/** The exchange that a session serves. */
export interface SessionOwner {
  readonly where: 'visit';
  fail(): void;
  /** The application speaks HTTP/2: requests may be sent. */
  sessionReady(): void;
  /** The session is gone, with every stream of it. */
  sessionClosed(): void;
  /** How long connecting to the application took, where that is asked for. */
  sessionConnected(microseconds: number): void;
}

/** What is asked of a new session. */
export interface SessionRequest {
  /** Whose it is, as client-ends.ts writes it. */
  readonly client: string;
  /** Somebody wants to know how long connecting takes. */
  readonly tells: boolean;
  /** An application that has not said its first words by then does not speak HTTP/2. */
  readonly patienceMs: number;
  readonly limits: WireLimits;
}

/**
 * One HTTP/2 connection to an application. It serves one exchange at a time, so that an application sees no more requests at once than it
 * has slots. Between two exchanges it is parked: it occupies no slot, and the linker closes it when it needs its place.
 */
export class ApplicationSession {
  /** Parked ones of each link, the one that was used last at the end. */
  static readonly #parked = new WeakMap<NodeLink, ApplicationSession[]>();
  /** It has served an exchange before. */
  reused = false;
  /** Why the linker ended it. */
  verdict: ResetCodeValue = ResetCode.CLOSED;
  /** A byte of the present exchange may have reached the application. */
  reached = true;
  readonly #link: NodeLink;
  readonly #frames: ApplicationFrames;
  readonly #duplex: LinkDuplex;
  readonly #session: ClientHttp2Session;
  #owner: SessionOwner | null;
  #isReady = false;
  /** Its SETTINGS let at least one request through. */
  #allowsStreams = true;

  /** Takes the slot of a parked session's next exchange; null: none is parked on this link. */
  static take(link: NodeLink, owner: SessionOwner): ApplicationSession | null {
    const parked = ApplicationSession.#parked.get(link);
    for (let session = parked?.pop(); session !== undefined; session = parked?.pop()) {
      if (!session.#isUsable || !session.#duplex.unpark()) continue;
      session.#owner = owner;
      session.reused = true;
      session.reached = true;
      return session;
    }
    return null;
  }

  /** Connects to the application on an idle slot of the link. `sessionReady` follows, or `sessionClosed`. */
  constructor(link: NodeLink, owner: SessionOwner, { client, tells, patienceMs, limits }: SessionRequest) {
    this.#link = link;
    this.#owner = owner;
    this.#frames = new ApplicationFrames(limits);
    this.#duplex = new LinkDuplex(link, this.#frames, {
      wasReset: (code, reached) => {
        this.verdict = code;
        this.reached = reached;
      },
      connected: (microseconds) => this.#owner?.sessionConnected(microseconds),
      // Not on nghttp2's stack, and what it has written goes out first.
      framesOver: () => setImmediate(guard('visit', () => this.#end(constants.NGHTTP2_ENHANCE_YOUR_CALM))),
    });
    this.#duplex.attach(link.open(this.#duplex, tells ? Flag.FRESH | Flag.TELL : Flag.FRESH, EMPTY, client));
    const session = connect(APPLICATION, { ...OPTIONS, createConnection: () => this.#duplex });
    this.#session = session;
    const domain = { where: 'visit', fail: () => this.#fail() } as const;
    const patience = setTimeout(
      guard(domain, () => this.#end()),
      patienceMs,
    );
    session.on('error', guard(domain, letGo));
    session.on(
      'remoteSettings',
      guard(domain, ({ maxConcurrentStreams }: Settings) => {
        this.#allowsStreams = maxConcurrentStreams !== 0;
        // A request would wait in nghttp2, with its slot, until the application allows it.
        if (!this.#allowsStreams) {
          if (this.#owner === null) this.#end();
        } else if (!this.#isReady) {
          this.#isReady = true;
          clearTimeout(patience);
          session.setLocalWindowSize(WINDOW_BYTES);
          this.#owner?.sessionReady();
        }
      }),
    );
    // The application is about to close: with nobody's request in it the session is of no more use.
    session.once(
      'goaway',
      guard(domain, () => {
        if (this.#owner === null) this.#end();
      }),
    );
    session.once(
      'close',
      guard(domain, () => {
        clearTimeout(patience);
        this.#closed();
      }),
    );
  }

  /** Null: Node refuses to send such a request. */
  request(fields: Fields, hasBody: boolean, owner: ApplicationStreamOwner): ApplicationStream | null {
    return ApplicationStream.open(this.#session, fields, hasBody, owner);
  }

  /** The exchange is over. `clean`: nothing of it is left in the session, which may serve another. */
  release(clean: boolean): void {
    this.#owner = null;
    if (clean && this.#park()) return;
    // What was written last, a reset maybe, goes out first.
    setImmediate(guard('visit', () => this.#end()));
  }

  /** The session is gone, and its streams with it. `sessionClosed` follows, whether the application closes its connection or not. */
  cut(): void {
    setImmediate(guard('visit', () => this.#duplex.destroy()));
  }

  /** A session that has got a GOAWAY would wait, with its slot, for an application that never closes. */
  #end(code: number = constants.NGHTTP2_NO_ERROR): void {
    this.#session.destroy(undefined, code);
    this.cut();
  }

  #park(): boolean {
    if (!this.#link.parks || !this.#isUsable) return false;
    const parked = ApplicationSession.#parked.get(this.#link) ?? [];
    if (parked.length === 0) ApplicationSession.#parked.set(this.#link, parked);
    // First: the slot that becomes idle may serve the next client at once, and that one is to find this session.
    parked.push(this);
    if (this.#duplex.park()) return true;
    parked.pop();
    return false;
  }

  /** Its connection is gone; `sessionClosed` was called, or follows. */
  get isGone(): boolean {
    return this.#session.destroyed || this.#duplex.destroyed;
  }

  /** An application that is about to close has said so by GOAWAY, or allows no stream. */
  get #isUsable(): boolean {
    return this.#allowsStreams && !this.#session.closed && !this.#frames.areOver && !this.isGone;
  }

  #closed(): void {
    const owner = this.#owner;
    this.#owner = null;
    if (owner !== null) {
      owner.sessionClosed();
      return;
    }
    const parked = ApplicationSession.#parked.get(this.#link);
    const at = parked?.indexOf(this) ?? -1;
    if (at !== -1) parked?.splice(at, 1);
  }

  #fail(): void {
    const owner = this.#owner;
    if (owner !== null) owner.fail();
    else this.#session.destroy();
  }
}
