import { caught } from '../boundary.ts';
import { LinkProtocolError } from '../errors.ts';
import { ChurnMap } from '../memory/churn-map.ts';
import type { Ownership } from '../memory/reused-reads.ts';
import { clusterBudget, FRAMES_PER_STREAM, linkBudget } from './frame-budget.ts';
import { Flag, Frame, PAYLOAD_BYTES_MAX, type ResetCodeValue, readResetCode, readU32, SAID_BYTES_MAX } from './frames.ts';
import type { Hello } from './handshake.ts';
import { type InstanceReport, parseReport } from './instance-report.ts';
import type { Link, LinkRole } from './link.ts';
import { type Move, MovedSlots, readMove, writeMove } from './move.ts';
import { Stream, type StreamHandler } from './stream.ts';

export type { InstanceReport };

/** The linker's calls to the node. */
export interface NodeLinkEvents {
  /** `idle` has grown: by a grant, or because a stream is over. */
  idle(): void;
  moveFailed(count: number, address: string): void;
  /** The instance reports its state. */
  report(report: InstanceReport): void;
  /** The instance wants to leave; not again before `answerRetire`. */
  retire(): void;
  /** One more, newer instance of the route is wanted. */
  startAnother(): void;
  /** The linker wants `count` slots back that are not idle here: those lent on through relays must be asked for. */
  recalled(count: number): void;
  down(reason: string): void;
}

/** The node's end of a link: slots come in as grants, and each open stream occupies one. */
export class NodeLink implements LinkRole {
  readonly link: Link;
  readonly streams = new ChurnMap<number, Stream>();
  readonly budget;
  readonly #clusterBudget = clusterBudget();
  readonly #moved = new MovedSlots();
  /** The response to its RETIRE is still to come. */
  #retireAsked = false;
  /** The linker wants to know the client of each stream. */
  readonly tellsClients: boolean;
  /** Streams may be parked: not where a connection to the application serves one client only, nor at a relay. */
  readonly parks: boolean;
  /** Idle slots at this node. */
  idle = 0;
  /** Slots lent on to another node through a relay, and idle there as far as is known here. */
  #reserved = 0;
  #parked = 0;
  /** Slots that the linker wants back and that were in use when it asked: paid as streams end. */
  #owed = 0;
  #lastId: number;
  /** `leaving`: slots that are not needed here go back at once. `dismissed`: all slots go back as soon as they are idle. */
  #mode: 'lending' | 'leaving' | 'dismissed' = 'lending';
  readonly #concurrencyMax: number;
  /** The other end is a node that relays: it has nothing to say about the instance. */
  readonly #relays: boolean;
  readonly #events: NodeLinkEvents;

  /** An instance can't lend more than its hello says. Stream ids count up from `lastStreamId`. */
  constructor(
    link: Link,
    hello: Pick<Hello, 'concurrency' | 'concurrencyMax' | 'tellClients' | 'relay'>,
    events: NodeLinkEvents,
    lastStreamId = 0,
  ) {
    this.link = link;
    this.#concurrencyMax = hello.concurrencyMax ?? hello.concurrency;
    this.budget = linkBudget(this.#concurrencyMax);
    this.tellsClients = hello.tellClients === true;
    this.parks = link.features.has('park') && hello.relay !== true && !this.tellsClients;
    this.#relays = hello.relay === true;
    this.#lastId = lastStreamId;
    this.#events = events;
    link.begin(this);
  }

  /** Streams that occupy a slot. */
  get active(): number {
    return this.streams.size - this.#parked;
  }

  /** Takes one idle slot for a stream; `opening` are its first bytes, `client` says whose it is where the linker wants to hear that. `quiet`: it does not keep the instance awake. */
  open(handler: StreamHandler, flags: number, opening: Buffer, client = '', quiet = false): Stream {
    if (this.idle < 1) throw new Error('no idle slot on this link');
    this.idle--;
    return this.#openStream(handler, flags, opening, client, quiet);
  }

  /** Sets idle slots aside for a relay. */
  reserve(count: number): void {
    if (count > this.idle) throw new Error(`can't reserve ${count} of ${this.idle} idle slots`);
    this.idle -= count;
    this.#reserved += count;
  }

  /** Reserved slots are idle again. */
  release(count: number): void {
    for (let i = Math.min(count, this.#reserved); i > 0; i--) {
      this.#reserved--;
      this.#slotIdle();
    }
  }

  /** A stream on a reserved slot, for one of another node (`near`). When it is over the slot is reserved again and `over` is called. */
  openReserved(handler: StreamHandler, flags: number, near: Pick<Stream, 'client' | 'quiet'>, over: () => void): Stream {
    if (this.#reserved < 1) throw new Error('no reserved slot on this link');
    this.#reserved--;
    const stream = this.#openStream(handler, flags, null, near.client, near.quiet);
    stream.onOver = over;
    return stream;
  }

  #openStream(handler: StreamHandler, flags: number, opening: Buffer | null, client: string, quiet: boolean): Stream {
    const id = this.#newId();
    const stream = new Stream(id, this.link.writer);
    this.budget.earn(FRAMES_PER_STREAM);
    stream.handler = handler;
    this.streams.set(id, stream);
    if (client !== '' && this.tellsClients) this.link.writer.frame(Frame.CLIENT, 0, id, Buffer.from(client, 'latin1'));
    if (quiet) this.#sayQuiet(id);
    // Bytes that do not fit into one frame follow as DATA, within the window.
    const first = opening === null || opening.length <= PAYLOAD_BYTES_MAX ? opening : opening.subarray(0, PAYLOAD_BYTES_MAX);
    if (first !== null) stream.chargeOpening(first.length);
    this.link.writer.frame(Frame.OPEN, flags, id, first);
    if (opening !== null && first !== null && opening.length > first.length) stream.write(opening.subarray(first.length));
    return stream;
  }

  /** The exchange is complete in both directions: the slot is idle again at once. */
  doneAndKeep(stream: Stream): void {
    if (stream.state === 'abandoned') return;
    // A response may be complete before its request is sent: on a connection that is used again the rest would be missing.
    if (stream.pendingBytes > 0) {
      this.doneAndClose(stream);
      return;
    }
    if (!this.streams.delete(stream.id)) return;
    stream.close();
    // It is not urgent: it must only arrive before the next OPEN that may use the same application connection.
    // The linker compares the bytes that it sent with the bytes that the node took: more bytes would be taken for the next response.
    this.link.writer.lazily(Frame.DONE, Flag.KEEP, stream.id, stream.receivedBytes % 2 ** 32);
    this.#over(stream);
  }

  /**
   * The exchange is complete in both directions and the stream stays, without a slot, with the application connection that it has. False:
   * it can't stay. Only where `parks` says so. The linker may reset a parked stream at any moment.
   */
  park(stream: Stream): boolean {
    if (stream.state !== 'open' || stream.pendingBytes > 0 || stream.onOver !== null || !this.streams.has(stream.id)) return false;
    stream.parked = true;
    this.#parked++;
    // As DONE: the linker must hear of it before the next frame of the link, and waits for nothing.
    this.link.writer.lazily(Frame.PARK, 0, stream.id, 0);
    this.#slotIdle();
    return true;
  }

  /** Takes one idle slot for a parked stream. */
  unpark(stream: Stream, quiet = false): void {
    if (this.idle < 1) throw new Error('no idle slot on this link');
    if (!stream.parked) throw new Error(`stream ${stream.id} is not parked`);
    this.idle--;
    this.#parked--;
    stream.parked = false;
    this.budget.earn(FRAMES_PER_STREAM);
    if (quiet) this.#sayQuiet(stream.id);
    this.link.writer.frame(Frame.UNPARK, 0, stream.id, null);
  }

  /** To a linker of 0.1 it is a stream like any other. */
  #sayQuiet(id: number): void {
    if (this.link.features.has('quiet')) this.link.writer.frame(Frame.QUIET, 0, id, null);
  }

  /** The exchange is complete but its application connection is not to be used again: idle once the linker has seen it closed. */
  doneAndClose(stream: Stream): void {
    if (!this.#mayEnd(stream)) return;
    stream.abandon();
    this.link.writer.frame(Frame.DONE, 0, stream.id, null);
  }

  /** Gives a stream up; its slot is idle when the linker has answered. */
  reset(stream: Stream, code: ResetCodeValue): void {
    if (!this.#mayEnd(stream)) return;
    stream.abandon();
    this.link.writer.number(Frame.RESET, 0, stream.id, code);
  }

  /** Returns idle slots to the linker, which may grant them again. */
  giveBack(count: number): void {
    this.#return(count);
  }

  #return(count: number): void {
    const given = Math.min(count, this.idle);
    if (given === 0) return;
    this.idle -= given;
    // The linker may grant them again at any time: when a limit goes up and down.
    this.budget.earn(given);
    this.link.writer.number(Frame.RETURN, 0, 0, given);
  }

  /** Returns idle slots and asks the linker to grant them to the node at `address` (HOST:PORT). */
  move(count: number, address: string): void {
    if (count < 1 || count > this.idle) throw new Error(`can't move ${count} of ${this.idle} idle slots`);
    this.idle -= count;
    this.#moved.add(count, address);
    // For each slot the linker may report a failed move, and grant the slot here again.
    this.budget.earn(2 * count);
    this.link.writer.frame(Frame.MOVE, 0, 0, writeMove({ count, address }));
  }

  /** `order`: the number that the directory has given the instance, where it has. A linker of 0.1 does not look at it. */
  newest(yes: boolean, order?: number): void {
    let payload: Buffer | null = null;
    // An invalid number from Redis is ignored.
    if (order !== undefined && Number.isSafeInteger(order) && order >= 0) {
      payload = Buffer.allocUnsafe(8);
      payload.writeBigUInt64BE(BigInt(order));
    }
    this.link.writer.frame(Frame.NEWEST, yes ? Flag.YES : 0, 0, payload);
  }

  answerRetire(yes: boolean): void {
    this.#retireAsked = false;
    this.link.writer.frame(Frame.RETIRE_ANSWER, yes ? Flag.YES : 0, 0, null);
  }

  /** The node is leaving: idle slots go back now, the others as their streams end and nobody who is held here needs them. */
  goAway(): void {
    if (this.#mode === 'lending') this.#sendAway('leaving');
  }

  /** The instance came too late: it is to end. */
  turnAway(): void {
    this.link.writer.frame(Frame.GOAWAY, Flag.TOO_LATE, 0, null);
  }

  /** The linker may serve on this link no longer: it gets no stream any more, and those that it has go on to their end. */
  dismiss(): void {
    this.#sendAway('dismissed');
  }

  #sendAway(mode: 'leaving' | 'dismissed'): void {
    this.#mode = mode;
    this.link.writer.frame(Frame.GOAWAY, mode === 'dismissed' ? Flag.ANEW : Flag.NONE, 0, null);
    this.#return(this.idle);
  }

  receive(type: number, flags: number, streamId: number, payload: Buffer): Ownership {
    this.#receiveWord(type, flags, streamId, payload);
    return 'borrowed';
  }

  #receiveWord(type: number, flags: number, streamId: number, payload: Buffer): void {
    this.budget.spend();
    switch (type) {
      case Frame.GRANT:
        this.#granted(readU32(payload));
        return;
      case Frame.RECALL:
        this.#recall(readU32(payload));
        return;
      case Frame.RESET:
        this.#resetByLinker(streamId, flags, readResetCode(payload));
        return;
      case Frame.CONNECTED:
        this.#connected(this.streams.get(streamId)?.handler ?? null, readU32(payload));
        return;
      case Frame.MOVE_FAILED:
        this.#moveFailed(readMove(payload, 'MOVE_FAILED'));
        return;
      case Frame.WAITS:
        this.#waits(this.streams.get(streamId)?.handler ?? null);
        return;
      case Frame.STATE:
      case Frame.RETIRE:
      case Frame.START:
        this.#receiveForCluster(type, payload);
        return;
      default:
        throw new LinkProtocolError(`frame type ${type} from a linker`);
    }
  }

  #receiveForCluster(type: number, payload: Buffer): void {
    if (this.#relays) throw new LinkProtocolError(`frame type ${type} from a relay`);
    this.#clusterBudget.spend();
    if (type === Frame.STATE) this.#events.report(parseReport(payload));
    else if (type === Frame.START) this.#events.startAnother();
    else if (!this.#retireAsked) {
      this.#retireAsked = true;
      this.#events.retire();
    }
  }

  down(reason: string): void {
    this.idle = 0;
    this.#reserved = 0;
    this.#parked = 0;
    this.#events.down(reason);
  }

  #connected(handler: StreamHandler | null, microseconds: number): void {
    try {
      handler?.onConnected?.(microseconds);
    } catch (error) {
      if (handler !== null) caught(handler, error);
    }
  }

  #waits(handler: StreamHandler | null): void {
    try {
      handler?.onWaits?.();
    } catch (error) {
      if (handler !== null) caught(handler, error);
    }
  }

  /** Passes on the application's word about its limit in the response on this stream. A linker of 0.1 is not told. */
  said(stream: Stream, text: string): void {
    if (!this.link.features.has('limits') || !this.streams.has(stream.id)) return;
    this.link.writer.frame(Frame.SAID, 0, stream.id, Buffer.from(text.slice(0, SAID_BYTES_MAX), 'latin1'));
  }

  #granted(count: number): void {
    const lent = this.idle + this.#reserved + this.active + count;
    if (lent > this.#concurrencyMax)
      throw new LinkProtocolError(`${lent} slots granted by an instance of concurrency ${this.#concurrencyMax}`);
    this.idle += count;
    this.#offerIdle();
  }

  /** Only a move of this node can fail: a linker must not choose which address a node dials. */
  #moveFailed({ count, address }: Move): void {
    if (!this.#moved.failed(count, address)) throw new LinkProtocolError(`MOVE_FAILED of ${count} slots that were not moved there`);
    this.#events.moveFailed(count, address);
  }

  #recall(count: number): void {
    const now = Math.min(count, this.idle);
    this.#return(now);
    const later = count - now;
    this.#owed = Math.min(this.#owed + later, this.active + this.#reserved);
    if (later > 0) this.#events.recalled(later);
  }

  #resetByLinker(streamId: number, flags: number, code: ResetCodeValue): void {
    const stream = this.streams.get(streamId);
    // The linker may reset a stream before it receives our DONE with KEEP.
    if (stream === undefined) return;
    this.streams.delete(streamId);
    const handler = stream.handler;
    stream.close();
    // Before the slot is offered: a client that goes back to its place in the queue is older than the clients that wait for the slot.
    Stream.tellReset(handler, code, (flags & Flag.REACHED) !== 0, (flags & Flag.REUSED) !== 0);
    this.#over(stream);
  }

  #over(stream: Stream): void {
    if (stream.parked) {
      this.#parked--;
      return;
    }
    if (stream.onOver === null) {
      this.#slotIdle();
      return;
    }
    this.#reserved++;
    stream.onOver();
  }

  #slotIdle(): void {
    this.idle++;
    if (this.#owed > 0) {
      this.#owed--;
      this.#return(1);
      return;
    }
    this.#offerIdle();
  }

  #offerIdle(): void {
    if (this.#mode !== 'dismissed') this.#events.idle();
    if (this.#mode !== 'lending') this.#return(this.idle);
  }

  #mayEnd(stream: Stream): boolean {
    return stream.state !== 'abandoned' && this.streams.has(stream.id);
  }

  #newId(): number {
    do {
      this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1;
    } while (this.streams.has(this.#lastId));
    return this.#lastId;
  }
}
