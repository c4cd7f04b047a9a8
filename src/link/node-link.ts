import { LinkProtocolError } from '../errors.ts';
import { Flag, Frame, type ResetCodeValue, readU32 } from './frames.ts';
import type { Link, LinkRole } from './link.ts';
import { Stream, type StreamHandler } from './stream.ts';

/** What an instance says about itself, on its home link. */
export interface InstanceReport {
  readonly home: boolean;
  readonly state: 'starting' | 'ready' | 'draining';
  readonly active: number;
}

/** What a linker asks of the node. */
export interface NodeLinkEvents {
  /** `idle` has grown: by a grant, or because a stream is over. */
  idle(): void;
  moveFailed(count: number, address: string): void;
  report(report: InstanceReport): void;
  retire(): void;
  /** One more, newer instance of the route is wanted. */
  startAnother(): void;
  down(reason: string): void;
}

/** The node's end of a link: slots come in as grants, and each open stream occupies one. */
export class NodeLink implements LinkRole {
  readonly link: Link;
  readonly streams = new Map<number, Stream>();
  /** Slots that lie here and serve nobody. */
  idle = 0;
  /** Slots that the linker wants back and that were in use when it asked: paid as streams end. */
  #owed = 0;
  #nextId = 1;
  readonly #concurrency: number;
  readonly #events: NodeLinkEvents;

  /** `concurrency` is what the instance said in its hello: it can't lend more. */
  constructor(link: Link, concurrency: number, events: NodeLinkEvents) {
    this.link = link;
    this.#concurrency = concurrency;
    this.#events = events;
    link.begin(this);
  }

  get active(): number {
    return this.streams.size;
  }

  /** Takes one idle slot for a stream; `opening` are its first bytes (within the first window). */
  open(handler: StreamHandler, flags: number, opening: Buffer): Stream {
    if (this.idle < 1) throw new Error('no idle slot on this link');
    this.idle--;
    const id = this.#newId();
    const stream = new Stream(id, this.link.writer);
    stream.handler = handler;
    stream.chargeOpening(opening.length);
    this.streams.set(id, stream);
    this.link.writer.frame(Frame.OPEN, flags, id, opening);
    return stream;
  }

  /** The exchange is complete in both directions: the slot is idle again at once. */
  doneAndKeep(stream: Stream): void {
    if (!this.streams.delete(stream.id)) return;
    stream.close();
    this.link.writer.frame(Frame.DONE, Flag.KEEP, stream.id, null);
    this.#slotIdle();
  }

  /** The exchange is complete but its application connection is not to be used again: idle once the linker has seen it closed. */
  doneAndClose(stream: Stream): void {
    if (!this.streams.has(stream.id) || stream.state === 'closed') return;
    stream.abandon();
    this.link.writer.frame(Frame.DONE, 0, stream.id, null);
  }

  /** Gives a stream up; its slot is idle when the linker has answered. */
  reset(stream: Stream, code: ResetCodeValue): void {
    if (!this.streams.has(stream.id) || stream.state === 'closed') return;
    stream.abandon();
    this.link.writer.number(Frame.RESET, 0, stream.id, code);
  }

  /** Returns idle slots to the linker. */
  giveBack(count: number): void {
    const given = Math.min(count, this.idle);
    if (given === 0) return;
    this.idle -= given;
    this.link.writer.number(Frame.RETURN, 0, 0, given);
  }

  /** Returns idle slots and asks the linker to grant them to the node at `address` (HOST:PORT). */
  move(count: number, address: string): void {
    if (count < 1 || count > this.idle) throw new Error(`can't move ${count} of ${this.idle} idle slots`);
    this.idle -= count;
    const payload = Buffer.allocUnsafe(4 + Buffer.byteLength(address));
    payload.writeUInt32BE(count, 0);
    payload.write(address, 4);
    this.link.writer.frame(Frame.MOVE, 0, 0, payload);
  }

  newest(yes: boolean): void {
    this.link.writer.frame(Frame.NEWEST, yes ? Flag.YES : 0, 0, null);
  }

  answerRetire(yes: boolean): void {
    this.link.writer.frame(Frame.RETIRE_ANSWER, yes ? Flag.YES : 0, 0, null);
  }

  /** The node is leaving: idle slots go back now, the others as their streams end. */
  goAway(): void {
    this.link.writer.frame(Frame.GOAWAY, 0, 0, null);
  }

  receive(type: number, flags: number, streamId: number, payload: Buffer): void {
    switch (type) {
      case Frame.GRANT:
        this.#granted(readU32(payload));
        return;
      case Frame.RECALL:
        this.#recall(readU32(payload));
        return;
      case Frame.RESET:
        this.#resetByLinker(streamId, flags, readU32(payload));
        return;
      case Frame.MOVE_FAILED:
        if (payload.length < 5) throw new LinkProtocolError('MOVE_FAILED without an address');
        this.#events.moveFailed(payload.readUInt32BE(0), payload.toString('utf8', 4));
        return;
      case Frame.STATE:
        this.#events.report(parseReport(payload));
        return;
      case Frame.RETIRE:
        this.#events.retire();
        return;
      case Frame.START:
        this.#events.startAnother();
        return;
      default:
        throw new LinkProtocolError(`frame type ${type} from a linker`);
    }
  }

  down(reason: string): void {
    this.idle = 0;
    this.#events.down(reason);
  }

  #granted(count: number): void {
    const lent = this.idle + this.streams.size + count;
    if (lent > this.#concurrency) throw new LinkProtocolError(`${lent} slots granted by an instance of concurrency ${this.#concurrency}`);
    this.idle += count;
    this.#events.idle();
  }

  #recall(count: number): void {
    const now = Math.min(count, this.idle);
    this.giveBack(now);
    this.#owed = Math.min(this.#owed + count - now, this.streams.size);
  }

  #resetByLinker(streamId: number, flags: number, code: number): void {
    const stream = this.streams.get(streamId);
    // A stream that this side has ended with DONE and KEEP may be reset by a linker that has not heard of it yet.
    if (stream === undefined) return;
    this.streams.delete(streamId);
    const handler = stream.handler;
    stream.close();
    this.#slotIdle();
    handler?.onReset(code as ResetCodeValue, (flags & Flag.REACHED) !== 0, (flags & Flag.REUSED) !== 0);
  }

  #slotIdle(): void {
    this.idle++;
    if (this.#owed > 0) {
      this.#owed--;
      this.giveBack(1);
      return;
    }
    this.#events.idle();
  }

  #newId(): number {
    do {
      this.#nextId = this.#nextId === 0xffffffff ? 1 : this.#nextId + 1;
    } while (this.streams.has(this.#nextId));
    return this.#nextId;
  }
}

function parseReport(payload: Buffer): InstanceReport {
  const value = parseJson(payload);
  const { home, state, active } = value;
  if (typeof home !== 'boolean' || (state !== 'starting' && state !== 'ready' && state !== 'draining') || typeof active !== 'number')
    throw new LinkProtocolError('malformed STATE');
  return { home, state, active };
}

/** @throws LinkProtocolError unless the payload is a JSON object. */
export function parseJson(payload: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // reported below
  }
  throw new LinkProtocolError('a payload that is not a JSON object');
}
