/**
 * The notes on one visit, for an access log or traces; without these there is no record, and nothing is noted. Times are
 * performance.now() in ms.
 */
import { internalError } from '../../boundary.ts';
import { ERRORS, type ErrorCode, type Side } from '../../errors.ts';
import type { Lender } from '../matching/lent-slots.ts';
import type { AffinityResult } from '../matching/wish.ts';

/**
 * The cause of a visit's end; the letters are HAProxy's, where the same happens. `-`: it ended in order. Capitals: by what it did, small letters:
 * by what it did not do in time. C, c: the client. S, s: the application, or that there was none. D: the link to the instance broke.
 * P: the proxy refused what it was sent. I: an internal error. R: a limit was reached. L: answered here, by intention. K: the node was told to leave.
 */
export type EndedBy = '-' | 'C' | 'c' | 'S' | 's' | 'D' | 'P' | 'I' | 'R' | 'L' | 'K';

/** Where it was then. R: its request. Q: held. C: connecting to the application. H: before the response. D: within the response, or passing bytes on. */
export type Phase = '-' | 'R' | 'Q' | 'C' | 'H' | 'D';

export type EndReason = ErrorCode | 'client_closed' | 'client_stalled' | 'idle_timeout' | 'node_stopped';

const ENDED_BY_SIDE: Readonly<Record<Side, EndedBy>> = { client: 'P', linker: 'D', application: 'S', pullproxy: 'P' };

/** Only where the side whose fault it is does not say it. */
const ENDED_BY: Partial<Record<ErrorCode, EndedBy>> = {
  https_only: 'L',
  head_timeout: 'c',
  application_bad_answer: 'P',
  queue_full: 'R',
  overload: 's',
  keys_full: 'R',
  asleep: 'L',
  hold_timeout: 's',
  deadline: 's',
  waiting_page: 'L',
  internal_error: 'I',
  draining: 'K',
};

/** The head of a request, as far as its record and its watchers need it. */
export interface RecordedHead {
  readonly method: string;
  /** As `Via` says it: `1.1`. */
  readonly version: string;
  /** The client's address, as trusted proxies say it, or that of the connection. */
  readonly client: string;
  /** The host and port that were asked for, as the client says them. */
  readonly hostText: string;
  readonly proto: string;
  /** Its `traceparent` came with it. */
  readonly traced: boolean;
  readonly byteLength: number;
  /** The target that the application is asked for. */
  readonly target: string;
  /** All values of the fields of this name, which is in lower case; null: there is none. */
  field(name: string): string | null;
  /** Writes over a part of the first field of this name, from its value's character `at` on. */
  overwrite(name: string, at: number, text: string): void;
}

export interface VisitFacts {
  /** `HTTP/1.1`, `HTTP/2.0`, `tcp` or `tls`. */
  readonly protocol: string;
  /** The client's address, as trusted proxies say it, or that of the connection. */
  readonly client: string;
  /** Null: it is no request of HTTP, or one that could not be read. */
  readonly head: RecordedHead | null;
}

export function factsOf(head: RecordedHead): VisitFacts {
  return { protocol: `HTTP/${head.version}`, client: head.client, head };
}

/** The longest path that is kept; strangers choose it. */
const PATH_CHARS_MAX = 1_024;

/** A time in which it waited for a slot. */
export interface HeldTime {
  readonly from: number;
  to: number | null;
}

/** An attempt: its stream on an instance's link. */
export interface StreamNote {
  readonly lender: Lender;
  readonly from: number;
  to: number | null;
  /** How long the linker took to connect to the application; null: not known. 0: a kept connection. */
  connectMs: number | null;
}

/** A slot that another node sent here, for a held client. */
export interface Handoff {
  readonly node: string;
  /** When it was announced. */
  readonly from: number;
}

/** An observer of visits. Called synchronously; an error in it loses only its own record. */
export interface VisitWatcher {
  /** It records traces: a request without a `traceparent` is given one, for it to fill in. */
  readonly beginsTraces?: boolean;
  began?(record: VisitRecord): void;
  /** It begins to wait for a slot. */
  held?(record: VisitRecord): void;
  /** A slot is there; its stream is opened right after this. */
  opened?(record: VisitRecord): void;
  ended(record: VisitRecord): void;
}

/** A record's view of its node. */
export interface RecordSurroundings {
  readonly watchers: readonly VisitWatcher[];
  /** The node closes everything: a visit that ends now was ended by that. */
  readonly isStopping: boolean;
  /** Takes the handoff that a slot of this route came by, if one was announced. */
  takeHandoff(route: string): Handoff | null;
}

interface Blame {
  readonly by: EndedBy;
  readonly reason: EndReason;
}

const STOPPED: Blame = { by: 'K', reason: 'node_stopped' };

export class VisitRecord {
  readonly facts: VisitFacts;
  /** The requested host name, or the route of a TCP port. */
  readonly host: string;
  readonly arrivedAt: number;
  route: string | null = null;
  /** 0: none. */
  status = 0;
  /** From the client, as it was passed on. */
  bytesIn: number;
  /** To the client. */
  bytesOut = 0;
  readonly holds: HeldTime[] = [];
  readonly streams: StreamNote[] = [];
  handoff: Handoff | null = null;
  /** Whether the instance that it prefers served it; null: it prefers none. */
  affinity: AffinityResult | null = null;
  firstByteAt: number | null = null;
  endedAt = 0;
  endedBy: EndedBy = '-';
  phase: Phase = '-';
  reason: EndReason | null = null;
  /** The id of its trace; null if none is recorded. */
  traceId: string | null = null;
  readonly #around: RecordSurroundings;
  #blamed: Blame | null = null;

  constructor(facts: VisitFacts, host: string, arrivedAt: number, around: RecordSurroundings) {
    this.facts = facts;
    this.host = host;
    this.arrivedAt = arrivedAt;
    this.bytesIn = facts.head?.byteLength ?? 0;
    this.#around = around;
    this.#tell('began');
  }

  /** The path of an HTTP request, without the query, which may contain secrets; null otherwise. */
  get path(): string | null {
    return this.facts.head?.target.slice(0, PATH_CHARS_MAX).replace(/\?.*/, '') ?? null;
  }

  /** The stream that it has or had last. */
  get stream(): StreamNote | null {
    return this.streams.at(-1) ?? null;
  }

  /** Over all times that it was held. */
  get heldMs(): number {
    return this.holds.reduce((sum, { from, to }) => sum + (to ?? performance.now()) - from, 0);
  }

  /** It waits for a slot; a stream that it had has failed. */
  held(): void {
    // It waited for one instance until now, and waits on for any.
    if (this.holds.at(-1)?.to === null) return;
    const now = performance.now();
    this.#closeStream(now);
    // The first wait began when it arrived.
    this.holds.push({ from: this.streams.length === 0 ? this.arrivedAt : now, to: null });
    this.#tell('held');
  }

  opened(lender: Lender): void {
    const now = performance.now();
    const hold = this.holds.at(-1);
    if (hold?.to === null) {
      hold.to = now;
      if (this.route !== null) this.handoff = this.#around.takeHandoff(this.route);
    }
    this.streams.push({ lender, from: now, to: null, connectMs: null });
    this.#tell('opened');
  }

  /** The linker has a connection to the application for it; 0: it was kept. */
  connected(microseconds: number): void {
    const { stream } = this;
    if (stream !== null) stream.connectMs = microseconds / 1_000;
  }

  /** The application's response begins. */
  began(status: number): void {
    this.firstByteAt = performance.now();
    this.status = status;
  }

  /** The status that the client got, or would have got. */
  answered(status: number): void {
    if (this.status === 0) this.status = status;
  }

  /** Says who caused the end that follows, and why. */
  blame(by: EndedBy, reason: EndReason): void {
    this.#blamed ??= { by, reason };
  }

  /** `saidBytes`: what its client was told of it. */
  failed(code: ErrorCode, saidBytes: number): void {
    this.bytesOut += saidBytes;
    this.end(ENDED_BY[code] ?? ENDED_BY_SIDE[ERRORS[code].side], code);
  }

  /** Once. */
  end(by: EndedBy, reason: EndReason | null = null): void {
    if (by !== '-') {
      const blamed = this.#around.isStopping ? STOPPED : this.#blamed;
      this.endedBy = blamed?.by ?? by;
      this.reason = blamed?.reason ?? reason;
      this.phase = this.#phase;
    }
    this.endedAt = performance.now();
    this.#closeStream(this.endedAt);
    const hold = this.holds.at(-1);
    if (hold !== undefined) hold.to ??= this.endedAt;
    this.#tell('ended');
  }

  #tell(what: 'began' | 'held' | 'opened' | 'ended'): void {
    for (const watcher of this.#around.watchers) {
      try {
        watcher[what]?.(this);
      } catch (error) {
        internalError('observer', error);
      }
    }
  }

  get #phase(): Phase {
    const { stream, facts } = this;
    if (this.holds.at(-1)?.to === null) return 'Q';
    if (stream === null) return 'R';
    if (this.firstByteAt !== null || (facts.head === null && stream.connectMs !== null)) return 'D';
    return facts.head === null || this.reason === 'application_refused' ? 'C' : 'H';
  }

  #closeStream(now: number): void {
    const { stream } = this;
    if (stream !== null) stream.to ??= now;
  }
}
