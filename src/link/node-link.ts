import { caught } from '../boundary.ts';
import { LinkProtocolError } from '../errors.ts';
import { ChurnMap } from '../memory/churn-map.ts';
import type { Ownership } from '../memory/reused-reads.ts';
import { clusterBudget, FRAMES_PER_STREAM, linkBudget } from './frame-budget.ts';
import { Flag, Frame, PAYLOAD_BYTES_MAX, type ResetCodeValue, readResetCode, readU32, SAID_BYTES_MAX } from './frames.ts';
import type { Hello } from './handshake.ts';
import { writeOrder } from './hello.ts';
import { parseReport } from './instance-report.ts';
import type { Link, LinkRole } from './link.ts';
import { type Move, MovedSlots, readMove, writeMove } from './move.ts';
import type { NodeLinkEvents } from './node-link-events.ts';
import { Stream, type StreamHandler } from './stream.ts';

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
  /** Slots that streams occupy. */
  active = 0;
  /** So many are to be here at once for one request. */
  #gathered = 0;
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
  constructor(link: Link, hello: Partial<Hello> & Pick<Hello, 'concurrency'>, events: NodeLinkEvents, lastStreamId = 0) {
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

  /** It gets no stream any more. */
  get isDismissed(): boolean {
    return this.#mode === 'dismissed';
  }

  /** The linker, or the node that relays for it, counts what streams cost, and can bring slots together here. Older ones can't. */
  get countsCosts(): boolean {
    return this.link.features.has('cost');
  }

  /** Slots that are here, idle or in use, and not lent on to other nodes. */
  get own(): number {
    let own = this.idle + this.active;
    for (const { onOver, cost } of this.streams.values()) if (onOver !== null) own -= cost;
    return own;
  }

  /** Takes `cost` idle slots. `opening`: its first bytes; `client`: whose it is, where the linker wants to hear it; `quiet`: it keeps nobody awake. */
  open(handler: StreamHandler, flags: number, opening: Buffer, client = '', quiet = false, cost = 1): Stream {
    this.#take(cost);
    return this.#openStream(handler, flags, opening, client, quiet, cost);
  }

  #take(cost: number): void {
    if (this.idle < cost) throw new Error(`no idle slot on this link: ${cost} are wanted, ${this.idle} are idle`);
    this.idle -= cost;
    this.active += cost;
  }

  /** One request needs `count` slots at once: idle ones stay here, and the linker brings the others. 0: no longer. */
  gather(count: number): void {
    if (count === this.#gathered) return;
    this.#gathered = count;
    if (this.countsCosts) this.link.writer.number(Frame.COST, 0, 0, count);
    if (count === 0 && this.#mode !== 'lending') this.giveBack(this.idle);
  }

  /** Sets idle slots aside for a relay. */
  reserve(count: number): void {
    if (count > this.idle) throw new Error(`can't reserve ${count} of ${this.idle} idle slots`);
    this.idle -= count;
    this.#reserved += count;
  }

  /** Reserved slots are idle again. */
  release(count: number): void {
    const free = Math.min(count, this.#reserved);
    this.#reserved -= free;
    if (free > 0) this.#slotsIdle(free);
  }

  /** A stream on reserved slots, as many as `near` takes, for one of another node (`near`). When it is over they are reserved again and `over` is called. */
  openReserved(handler: StreamHandler, flags: number, near: Pick<Stream, 'client' | 'quiet' | 'cost'>, over: () => void): Stream {
    const { client, quiet, cost } = near;
    if (this.#reserved < cost) throw new Error(`no reserved slot on this link: ${cost} are wanted, ${this.#reserved} are reserved`);
    this.#reserved -= cost;
    this.active += cost;
    const stream = this.#openStream(handler, flags, null, client, quiet, cost);
    stream.onOver = over;
    return stream;
  }

  #openStream(handler: StreamHandler, flags: number, opening: Buffer | null, client: string, quiet: boolean, cost: number): Stream {
    const id = this.#newId();
    const stream = new Stream(id, this.link.writer);
    this.budget.earn(FRAMES_PER_STREAM);
    stream.handler = handler;
    this.streams.set(id, stream);
    if (client !== '' && this.tellsClients) this.link.writer.frame(Frame.CLIENT, 0, id, Buffer.from(client, 'latin1'));
    if (quiet) this.#sayQuiet(id);
    if (cost > 1) this.#sayCost(stream, cost);
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
    this.active -= stream.cost;
    // As DONE: the linker must hear of it before the next frame of the link, and waits for nothing.
    this.link.writer.lazily(Frame.PARK, 0, stream.id, 0);
    this.#slotsIdle(stream.cost);
    return true;
  }

  /** Takes `cost` idle slots for a parked stream. */
  unpark(stream: Stream, quiet = false, cost = 1): void {
    if (!stream.parked) throw new Error(`stream ${stream.id} is not parked`);
    this.#take(cost);
    stream.parked = false;
    this.budget.earn(FRAMES_PER_STREAM);
    if (quiet) this.#sayQuiet(stream.id);
    stream.cost = 1;
    if (cost > 1) this.#sayCost(stream, cost);
    this.link.writer.frame(Frame.UNPARK, 0, stream.id, null);
  }

  /** To a linker of 0.1 it is a stream like any other. */
  #sayQuiet(id: number): void {
    if (this.link.features.has('quiet')) this.link.writer.frame(Frame.QUIET, 0, id, null);
  }

  /** A linker that does not know it counts one slot; the others are in use here all the same. */
  #sayCost(stream: Stream, cost: number): void {
    stream.cost = cost;
    if (this.countsCosts) this.link.writer.number(Frame.COST, 0, stream.id, cost);
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

  giveBack(count: number): void {
    const given = Math.min(count, this.idle);
    this.idle -= given;
    if (given === 0) return;
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
    this.link.writer.frame(Frame.NEWEST, yes ? Flag.YES : 0, 0, writeOrder(order));
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
    this.giveBack(this.idle);
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
      case Frame.CONNECTED: {
        const microseconds = readU32(payload);
        this.#tell(streamId, (handler) => handler.onConnected?.(microseconds));
        return;
      }
      case Frame.COST:
        this.#events.gathersAtMost(readU32(payload));
        return;
      case Frame.MOVE_FAILED:
        this.#moveFailed(readMove(payload, 'MOVE_FAILED'));
        return;
      case Frame.WAITS:
        this.#tell(streamId, (handler) => handler.onWaits?.());
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
    this.active = 0;
    this.#events.down(reason);
  }

  /** An error in the handler ends its stream, and not the link. */
  #tell(streamId: number, word: (handler: StreamHandler) => void): void {
    const handler = this.streams.get(streamId)?.handler ?? null;
    if (handler === null) return;
    try {
      word(handler);
    } catch (error) {
      caught(handler, error);
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
    const later = count - Math.min(count, this.idle);
    this.giveBack(count - later);
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
    if (stream.parked) return;
    this.active -= stream.cost;
    if (stream.onOver !== null) {
      this.#reserved += stream.cost;
      stream.onOver();
    } else this.#slotsIdle(stream.cost);
  }

  #slotsIdle(count: number): void {
    this.idle += count;
    const back = Math.min(count, this.#owed);
    this.#owed -= back;
    this.giveBack(back);
    if (back < count) this.#offerIdle();
  }

  #offerIdle(): void {
    if (this.#mode !== 'dismissed') this.#events.idle();
    if (this.#mode === 'dismissed' || (this.#mode === 'leaving' && this.#gathered === 0)) this.giveBack(this.idle);
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
