import type { Socket } from 'node:net';
import { caught, type FailureDomain, guard } from '../../boundary.ts';
import { formatHostPort, type HostPort } from '../../config/host-port.ts';
import { connectedEvent, connectToNode, type NodeTls } from '../../link/connect.ts';
import { dialLink } from '../../link/handshake.ts';
import { helloNow } from '../../link/hello.ts';
import type { Link, LinkTiming } from '../../link/link.ts';
import { LinkerLink } from '../../link/linker-link.ts';
import type { Stream } from '../../link/stream.ts';
import type { Log } from '../../log.ts';
import { ReadMemory } from '../../memory/reused-reads.ts';
import type { Lender } from '../matching/lent-slots.ts';
import { RelayedStream } from './relayed-stream.ts';

/** From the first packet to the last proof. Slots that wait for it are out of service meanwhile. */
const DIAL_TIMEOUT_MS = 2_000;
/** A relay is closed after this time without lent slots. */
const IDLE_TIMEOUT_MS = 30_000;

export interface RelayOptions {
  readonly secret: (route: string) => string;
  readonly timing?: LinkTiming;
  /** The oldest version of the link protocol that the other node may speak; without it the newest. */
  readonly versionMin?: number;
  readonly tls?: NodeTls;
  readonly log: Log;
}

export interface RelayEvents {
  /** Called once. `reached`: the node was ever reached; `nobodyListens`: its port was closed. */
  over(reached: boolean, nobodyListens: boolean): void;
  /** A client of the other node takes `count` slots of one instance at once; 0: no longer. */
  gather(count: number): void;
}

/**
 * One instance's slots lent on to one node. Towards that node it is the linker; at the lender each of its slots is reserved or
 * in a stream, whatever the other node has said of it meanwhile: that node calls a slot idle, or returns it, as soon as it
 * has its response, and here the application connection may have yet to close.
 */
export class Relay implements FailureDomain {
  readonly lender: Lender;
  readonly #log: Log;
  readonly #events: RelayEvents;
  readonly #memory = new ReadMemory();
  readonly #socket: Socket;
  readonly #deadline: NodeJS.Timeout;
  #link: LinkerLink | null = null;
  #state: 'dialling' | 'up' | 'down' = 'dialling';
  /** Reserved at the lender and in no stream: they wait for the dial, or are idle at the other node. */
  #inHand = 0;
  /** Returned by the other node, and still in a stream here. */
  #returnedEarly = 0;
  /** The other node was asked for so many that it has not returned. */
  #recalled = 0;
  /** Opened by the other node on slots that are still in a stream here. */
  readonly #waiting: RelayedStream[] = [];
  #idleTimer: NodeJS.Timeout | null = null;

  constructor(route: string, lender: Lender, address: HostPort, options: RelayOptions, events: RelayEvents) {
    this.lender = lender;
    this.#log = options.log.child({ route, instance: lender.instance, to: formatHostPort(address) });
    this.#events = events;
    const { tls } = options;
    this.#socket = connectToNode({ name: address.host, ip: address.host, port: address.port }, tls, this.#memory);
    const overdue = guard(this, () => this.#socket.destroy(new Error(`no link within ${DIAL_TIMEOUT_MS} ms`)));
    this.#deadline = setTimeout(overdue, DIAL_TIMEOUT_MS);
    const onError = guard(this, (error: NodeJS.ErrnoException) => this.#down(error.message, error.code === 'ECONNREFUSED'));
    this.#socket.on('error', onError);
    const connected = guard(this, () => {
      this.#socket.off('error', onError);
      this.#shake(route, formatHostPort(address), options);
    });
    this.#socket.once(connectedEvent(tls), connected);
  }

  get where(): 'link' {
    return 'link';
  }

  fail(): void {
    this.close('an internal error');
  }

  /** Slots that are lent on, those in use included. */
  get lent(): number {
    return this.#link === null ? this.#inHand : this.#link.lent;
  }

  /** Slots that are idle at the other node, as far as is known here, and were not asked for. */
  get idle(): number {
    return this.#link === null ? this.#inHand : Math.max(0, this.#link.lent - this.#link.inUse - this.#recalled);
  }

  /** Lends idle slots of the lender on. Returns how many. */
  lend(count: number): number {
    if (this.#state === 'down') return 0;
    this.lender.link.reserve(count);
    this.#inHand += count;
    this.#link?.grant(count);
    this.#watchIdleness();
    return count;
  }

  /** Asks for slots back: idle ones come at once. Returns how many it asked for. */
  recall(count: number): number {
    const asked = Math.min(count, this.lent - this.#recalled);
    if (this.#link !== null) {
      this.#recalled += asked;
      this.#link.recall(asked);
    } else {
      this.#returned(asked);
    }
    return asked;
  }

  /** The other node can't have more than `count` slots of one instance together. */
  gathersAtMost(count: number): void {
    if (this.#state === 'up') this.#link?.gathersAtMost(count);
  }

  close(reason: string): void {
    if (this.#link !== null) this.#link.link.close(reason);
    else this.#socket.destroy();
    this.#down(reason);
  }

  #shake(route: string, at: string, { secret, timing, versionMin }: RelayOptions): void {
    const { instance, seq, unnumbered, concurrencyMax, readyAt, link } = this.lender;
    const order = unnumbered === true ? {} : { order: seq };
    dialLink(this.#socket, {
      hello: helloNow({
        readyAt,
        route,
        instance,
        seq,
        takesOrder: true,
        ...order,
        // Slots of any limit come this way.
        concurrency: concurrencyMax,
        relay: true,
        ...(link.tellsClients ? { tellClients: true } : {}),
      }),
      at,
      secret: secret(route),
      versionMin,
      timing,
      memory: this.#memory,
      ready: (link) => this.#up(link),
      failed: (reason) => this.#down(reason),
    });
  }

  #up(link: Link): void {
    clearTimeout(this.#deadline);
    this.#state = 'up';
    this.#log.info('the node relays');
    this.#link = new LinkerLink(link, {
      opened: (stream, flags) => this.#opened(stream, flags),
      // Each stream here was given its handler when it was opened.
      done: (stream, how) => (stream.handler as RelayedStream).done(how),
      said: (stream, text) => (stream.handler as RelayedStream | null)?.said(text),
      wantedBack: (stream) => (stream.handler as RelayedStream).takeBack(),
      returned: (count) => this.#returned(count),
      // A node does not move on what was relayed to it.
      moveWanted: (count) => this.#returned(count),
      newest: () => {},
      retireAnswer: () => {},
      goAway: () => this.recall(this.lent),
      gather: (count) => this.#events.gather(count),
      down: (reason) => this.#down(reason),
    });
    this.#link.grant(this.#inHand);
    this.#watchIdleness();
  }

  #opened(near: Stream, flags: number): void {
    const stream = new RelayedStream(near, this.#link as LinkerLink, this.lender, flags, {
      free: (cost) => this.#slotsFree(cost),
      givenUp: (given) => {
        const at = this.#waiting.indexOf(given);
        if (at !== -1) this.#waiting.splice(at, 1);
        // Those behind it may take less.
        this.#useSlots();
      },
    });
    near.handler = stream;
    this.#waiting.push(stream);
    this.#useSlots();
  }

  #begin(stream: RelayedStream): void {
    try {
      stream.begin();
    } catch (error) {
      caught(stream, error);
    }
  }

  /** A stream has left its slots, which are reserved again. */
  #slotsFree(count: number): void {
    if (this.#state === 'down') {
      this.lender.link.release(count);
      return;
    }
    this.#inHand += count;
    this.#useSlots();
  }

  /** Those who wait come first, in their order, also one that takes several slots. Then what was returned goes home. */
  #useSlots(): void {
    for (let [next] = this.#waiting; next !== undefined && next.cost <= this.#inHand; [next] = this.#waiting) {
      this.#waiting.shift();
      this.#inHand -= next.cost;
      this.#begin(next);
    }
    const back = this.#waiting.length > 0 ? 0 : Math.min(this.#inHand, this.#returnedEarly);
    if (back === 0) return;
    this.#inHand -= back;
    this.#returnedEarly -= back;
    this.lender.link.release(back);
  }

  #returned(count: number): void {
    this.#recalled = Math.max(0, this.#recalled - count);
    const now = Math.min(count, this.#inHand);
    this.#inHand -= now;
    this.#returnedEarly += count - now;
    this.#watchIdleness();
    this.lender.link.release(now);
  }

  #watchIdleness(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
    if (this.lent > 0) return;
    const end = guard(this, () => this.close('nothing is relayed'));
    this.#idleTimer = setTimeout(end, IDLE_TIMEOUT_MS);
  }

  #down(reason: string, nobodyListens = false): void {
    if (this.#state === 'down') return;
    const reached = this.#state === 'up';
    this.#state = 'down';
    clearTimeout(this.#deadline);
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    if (reached) this.#log.info({ reason }, 'the node stopped relaying');
    else this.#log.warn({ reason }, 'the node can not relay');
    this.#events.over(reached, nobodyListens);
    this.#waiting.length = 0;
    const back = this.#inHand;
    this.#inHand = 0;
    this.lender.link.release(back);
  }
}
