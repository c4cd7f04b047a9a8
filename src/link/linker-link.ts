import { LinkProtocolError } from '../errors.ts';
import { ChurnMap } from '../memory/churn-map.ts';
import type { Ownership } from '../memory/reused-reads.ts';
import { readClientText } from './client-ends.ts';
import { FRAMES_PER_STREAM, linkBudget } from './frame-budget.ts';
import { Flag, Frame, ResetCode, type ResetCodeValue, readResetCode, readU32, SAID_BYTES_MAX } from './frames.ts';
import { CONCURRENCY_MAX, readOrder } from './hello.ts';
import type { InstanceReport } from './instance-report.ts';
import type { Link, LinkRole } from './link.ts';
import { readMove, writeMove } from './move.ts';
import { Stream } from './stream.ts';

/**
 * `keep`: the application connection may serve the next stream. `discard`: it may not, since it said more than the response; the slot is
 * idle at the node all the same. `close`: it is to be closed, and then the stream is to be freed.
 */
export type DoneHow = 'keep' | 'discard' | 'close';

/** The node's calls to the linker. */
export interface LinkerLinkEvents {
  /** A stream begins: give it a handler at once, its first bytes follow in this turn. `flags`: Flag.FRESH, Flag.CAREFUL. */
  opened(stream: Stream, flags: number): void;
  /** The node saw the exchange complete, and needs no more of the stream. */
  done(stream: Stream, how: DoneHow): void;
  /** The node wants the stream back, if it still waits for room below the limit. Absent: none ever waits. */
  wantedBack?(stream: Stream): void;
  /** The exchange is over, and the stream stays with its application connection, without a slot. Absent at a relay. */
  parked?(stream: Stream): void;
  /** A parked stream begins its next exchange. */
  unparked?(stream: Stream): void;
  /** The application has said something about its limit in its response on the stream. */
  said?(stream: Stream, text: string): void;
  /** `count` lent slots came back. */
  returned(count: number): void;
  /** `count` lent slots came back, and the node at `address` wants them. */
  moveWanted(count: number, address: string): void;
  /** `order`: the instance's number from the directory; null: the node does not say it. */
  newest(yes: boolean, order: number | null): void;
  retireAnswer(yes: boolean): void;
  /** The node is leaving: lend it no more slots unasked. */
  goAway(anew: boolean): void;
  /** The node wants to have `count` slots at once, for one request; 0: no longer. Absent at a relay. */
  gather?(count: number): void;
  /** The instance came too late: it is not wanted. Absent at a relay. */
  turnedAway?(): void;
  down(reason: string): void;
}

/** The linker's end of a link (a relaying node uses it too): it lends slots and serves the streams that the node opens on them. */
export class LinkerLink implements LinkRole {
  readonly link: Link;
  readonly streams = new ChurnMap<number, Stream>();
  /** RETIRE was said, and its response is to come. */
  #retireAsked = false;
  readonly budget = linkBudget(Number.POSITIVE_INFINITY);
  /** Slots lent to this node, including those in use. */
  lent = 0;
  /** Slots that streams occupy. */
  inUse = 0;
  /** The client of the stream that the next OPEN begins. */
  #client: { readonly streamId: number; readonly text: string } | null = null;
  /** The stream whose next OPEN or UNPARK begins something that does not keep the instance awake. */
  #quietId: number | null = null;
  /** The stream whose next OPEN or UNPARK takes several slots. */
  #costId: number | null = null;
  #cost = 1;
  readonly #events: LinkerLinkEvents;

  constructor(link: Link, events: LinkerLinkEvents) {
    this.link = link;
    this.#events = events;
    link.begin(this);
  }

  grant(count: number): void {
    if (count < 1) return;
    this.lent += count;
    // Each of them may be returned by itself.
    this.budget.earn(count);
    this.link.writer.number(Frame.GRANT, 0, 0, count);
  }

  /** Asks for slots back: idle ones return at once, the others as their streams end. */
  recall(count: number): void {
    if (count > 0) this.link.writer.number(Frame.RECALL, 0, 0, count);
  }

  /** The stream waits for room below the limit. A node of 0.1 lets it wait. */
  waits(stream: Stream): void {
    if (this.link.features.has('limits') && this.streams.has(stream.id)) this.link.writer.frame(Frame.WAITS, 0, stream.id, null);
  }

  moveFailed(count: number, address: string): void {
    this.link.writer.frame(Frame.MOVE_FAILED, 0, 0, writeMove({ count, address }));
  }

  report(report: InstanceReport): void {
    if (!this.link.isUp) return;
    // A node of 0.1 does not know the state, and would end the link.
    const isKnown = report.state !== 'paused' || this.link.features.has('limits');
    this.link.sendJson(Frame.STATE, isKnown ? report : { ...report, state: 'starting' });
  }

  /** The node can't have more than `count` slots together. */
  gathersAtMost(count: number): void {
    if (this.link.features.has('cost')) this.link.writer.number(Frame.COST, 0, 0, count);
  }

  askRetire(): void {
    this.#retireAsked = true;
    this.link.writer.frame(Frame.RETIRE, 0, 0, null);
  }

  askStart(): void {
    this.link.writer.frame(Frame.START, 0, 0, null);
  }

  /** The stream's application connection is closed (or was never there): its slot is idle again at the node. */
  free(stream: Stream, code: ResetCodeValue, reached: boolean, reused: boolean): void {
    if (!this.streams.delete(stream.id)) return;
    if (!stream.parked) this.inUse -= stream.cost;
    stream.close();
    this.link.writer.number(Frame.RESET, (reached ? Flag.REACHED : 0) | (reused ? Flag.REUSED : 0), stream.id, code);
  }

  receive(type: number, flags: number, streamId: number, payload: Buffer): Ownership {
    if (type === Frame.OPEN) return this.#open(streamId, flags, payload);
    this.#receiveWord(type, flags, streamId, payload);
    return 'borrowed';
  }

  #receiveWord(type: number, flags: number, streamId: number, payload: Buffer): void {
    this.budget.spend();
    switch (type) {
      case Frame.CLIENT:
        this.#client = { streamId, text: readClient(payload) };
        return;
      case Frame.QUIET:
        this.#quietId = streamId;
        return;
      case Frame.COST:
        this.#readCost(streamId, readU32(payload));
        return;
      case Frame.DONE:
        this.#done(streamId, (flags & Flag.KEEP) !== 0, payload);
        return;
      case Frame.PARK:
        this.#park(streamId);
        return;
      case Frame.UNPARK:
        this.#unpark(streamId);
        return;
      case Frame.SAID:
        this.#said(streamId, payload);
        return;
      case Frame.RESET:
        this.#reset(streamId, readResetCode(payload));
        return;
      case Frame.WAITS:
        this.#wantedBack(streamId);
        return;
      case Frame.RETURN:
        this.#takeBack(readU32(payload));
        this.#events.returned(readU32(payload));
        return;
      case Frame.MOVE: {
        const { count, address } = readMove(payload, 'MOVE');
        this.#takeBack(count);
        this.#events.moveWanted(count, address);
        return;
      }
      case Frame.NEWEST:
        this.#events.newest((flags & Flag.YES) !== 0, readOrder(payload));
        return;
      case Frame.RETIRE_ANSWER:
        // An instance leaves only when it has asked.
        if (this.#retireAsked) this.#events.retireAnswer((flags & Flag.YES) !== 0);
        this.#retireAsked = false;
        return;
      case Frame.GOAWAY:
        if ((flags & Flag.TOO_LATE) !== 0 && this.#events.turnedAway !== undefined) this.#events.turnedAway();
        else this.#events.goAway((flags & Flag.ANEW) !== 0);
        return;
      default:
        throw new LinkProtocolError(`frame type ${type} from a node`);
    }
  }

  down(reason: string): void {
    this.lent = 0;
    this.inUse = 0;
    this.#events.down(reason);
  }

  /** The node decides whether a slot is idle, but it can't return slots that were not lent to it or are in use. */
  #takeBack(count: number): void {
    if (count < 1 || count > this.lent - this.inUse)
      throw new LinkProtocolError(`${count} slots returned, ${this.lent - this.inUse} are idle there`);
    this.lent -= count;
  }

  /** Returns whether the opening's memory is used beyond the call. */
  #open(streamId: number, flags: number, opening: Buffer): Ownership {
    if (this.streams.has(streamId)) throw new LinkProtocolError(`stream ${streamId} opened twice`);
    const cost = this.#takeCost(streamId);
    if (this.inUse + cost > this.lent) throw new LinkProtocolError(`stream ${streamId} opened without an idle slot`);
    const stream = new Stream(streamId, this.link.writer);
    stream.cost = cost;
    this.inUse += cost;
    this.budget.earn(FRAMES_PER_STREAM);
    stream.tells = (flags & Flag.TELL) !== 0;
    if (this.#client?.streamId === streamId) stream.client = this.#client.text;
    this.#client = null;
    stream.quiet = this.#takeQuiet(streamId);
    this.streams.set(streamId, stream);
    this.#events.opened(stream, flags);
    return opening.length > 0 ? stream.receiveData(opening) : 'borrowed';
  }

  #done(streamId: number, keep: boolean, payload: Buffer): void {
    // A node of version 0.1 does not say how much it took.
    const taken = payload.length === 0 ? null : readU32(payload);
    const stream = this.streams.get(streamId);
    // It may have been freed here just before the node's word came. A node that has reset a stream has no more to say about it;
    // one that this side has abandoned by itself may be complete for the node.
    if (stream === undefined || stream.handler === null) return;
    if (keep) {
      if (stream.parked) throw new LinkProtocolError(`stream ${streamId} is parked, and occupies no slot`);
      this.streams.delete(streamId);
      this.inUse -= stream.cost;
      this.#events.done(stream, taken === null || taken === stream.writtenBytes % 2 ** 32 ? 'keep' : 'discard');
      stream.close();
      return;
    }
    this.#events.done(stream, 'close');
  }

  /** The stream may have been freed here just before: then the node hears of that, and its slot is idle for both. */
  #park(streamId: number): void {
    if (this.#events.parked === undefined) throw new LinkProtocolError('PARK to a linker that does not understand it');
    const stream = this.streams.get(streamId);
    if (stream === undefined || stream.handler === null) return;
    if (stream.parked) throw new LinkProtocolError(`stream ${streamId} parked twice`);
    stream.parked = true;
    this.inUse -= stream.cost;
    this.#events.parked(stream);
  }

  #unpark(streamId: number): void {
    const cost = this.#takeCost(streamId);
    const stream = this.streams.get(streamId);
    if (stream === undefined) return;
    if (!stream.parked) throw new LinkProtocolError(`stream ${streamId} is not parked`);
    if (this.inUse + cost > this.lent) throw new LinkProtocolError(`stream ${streamId} unparked without an idle slot`);
    stream.cost = cost;
    this.inUse += cost;
    stream.parked = false;
    stream.quiet = this.#takeQuiet(streamId);
    this.budget.earn(FRAMES_PER_STREAM);
    this.#events.unparked?.(stream);
  }

  #wantedBack(streamId: number): void {
    const stream = this.streams.get(streamId);
    if (stream !== undefined && stream.handler !== null && stream.state !== 'abandoned') this.#events.wantedBack?.(stream);
  }

  #readCost(streamId: number, cost: number): void {
    if (cost > CONCURRENCY_MAX || (cost === 0 && streamId !== 0)) throw new LinkProtocolError(`a stream that costs ${cost} slots`);
    if (streamId === 0) {
      this.#events.gather?.(cost);
      return;
    }
    this.#costId = streamId;
    this.#cost = cost;
  }

  #takeCost(streamId: number): number {
    const cost = this.#costId === streamId ? this.#cost : 1;
    this.#costId = null;
    return cost;
  }

  #takeQuiet(streamId: number): boolean {
    const isQuiet = this.#quietId === streamId;
    this.#quietId = null;
    return isQuiet;
  }

  #said(streamId: number, payload: Buffer): void {
    if (payload.length > SAID_BYTES_MAX)
      throw new LinkProtocolError(`SAID of ${payload.length} bytes, at most ${SAID_BYTES_MAX} are allowed`);
    const stream = this.streams.get(streamId);
    if (stream !== undefined) this.#events.said?.(stream, payload.toString('latin1'));
  }

  #reset(streamId: number, code: ResetCodeValue): void {
    const stream = this.streams.get(streamId);
    // A second RESET would free the slot while its application connection is still open.
    if (stream === undefined || stream.state === 'abandoned') return;
    const handler = stream.handler;
    stream.abandon();
    if (handler === null) this.free(stream, ResetCode.CLOSED, true, false);
    else Stream.tellReset(handler, code, true, false);
  }
}

/** @throws LinkProtocolError */
function readClient(payload: Buffer): string {
  const text = payload.toString('latin1');
  readClientText(text);
  return text;
}
