/**
 * When a linker can't dial the node that holds a client, the node that has the link relays: towards the other node it acts
 * as the linker, with the same protocol, and lends on a slot of the real one.
 */
import { connect } from 'node:net';
import { parseHostPort } from '../config/host-port.ts';
import { ResetCode, type ResetCodeValue } from '../link/frames.ts';
import { dialLink } from '../link/handshake.ts';
import type { LinkTiming } from '../link/link.ts';
import { LinkerLink } from '../link/linker-link.ts';
import type { Stream, StreamHandler } from '../link/stream.ts';
import type { Log } from '../log.ts';
import type { Lender } from './slots.ts';

/** For how long a linker that failed to dial a node is not asked to do so again. */
const UNREACHABLE_MS = 30_000;
const DIAL_TIMEOUT_MS = 2_000;
const UNREACHABLE_MAX = 10_000;

export interface RelayOptions {
  readonly secret: (route: string) => string;
  readonly timing?: LinkTiming;
  readonly log: Log;
}

export class Relays {
  readonly #options: RelayOptions;
  readonly #relays = new Map<string, Relay>();
  /** `instance address` → until when. */
  readonly #unreachable = new Map<string, number>();

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** The lender's linker could not dial `address`. */
  markUnreachable(lender: Lender, address: string): void {
    if (this.#unreachable.size >= UNREACHABLE_MAX) this.#unreachable.clear();
    this.#unreachable.set(key(lender, address), performance.now() + UNREACHABLE_MS);
  }

  needed(lender: Lender, address: string): boolean {
    const until = this.#unreachable.get(key(lender, address));
    if (until === undefined) return false;
    if (until > performance.now()) return true;
    this.#unreachable.delete(key(lender, address));
    return false;
  }

  /** Lends `count` idle slots of the lender to the node at `address`. */
  lend(route: string, lender: Lender, count: number, address: string): void {
    const name = key(lender, address);
    let relay = this.#relays.get(name);
    if (relay === undefined) {
      relay = new Relay(route, lender, address, this.#options, () => this.#relays.delete(name));
      this.#relays.set(name, relay);
    }
    relay.lend(count);
  }

  /** The lender's linker wants slots back. */
  recall(lender: Lender, count: number): void {
    for (const relay of this.#relays.values()) if (relay.lender === lender) relay.recall(count);
  }

  /** The lender's link is gone. */
  close(lender: Lender): void {
    for (const relay of [...this.#relays.values()]) if (relay.lender === lender) relay.close();
  }

  closeAll(): void {
    for (const relay of [...this.#relays.values()]) relay.close();
  }
}

function key(lender: Lender, address: string): string {
  return `${lender.instance} ${address}`;
}

/** One instance's slots lent on to one node. */
class Relay {
  readonly lender: Lender;
  readonly #log: Log;
  readonly #gone: () => void;
  #link: LinkerLink | null = null;
  /** Reserved at the lender and not in a stream: waiting for the dial, or idle at the other node. */
  #inHand = 0;
  #state: 'dialling' | 'up' | 'down' = 'dialling';
  readonly #socket;

  constructor(route: string, lender: Lender, address: string, options: RelayOptions, gone: () => void) {
    this.lender = lender;
    this.#log = options.log.child({ route, instance: lender.instance, address });
    this.#gone = gone;
    const at = parseHostPort(address);
    if (at === null) throw new Error(`malformed node address ${address}`);
    this.#socket = connect({ ...at, noDelay: true });
    const deadline = setTimeout(() => this.#socket.destroy(new Error(`no connection within ${DIAL_TIMEOUT_MS} ms`)), DIAL_TIMEOUT_MS);
    this.#socket.once('connect', () => clearTimeout(deadline));
    const { instance, seq, concurrency } = lender;
    dialLink(this.#socket, {
      hello: { route, instance, seq, concurrency, relay: true },
      secret: options.secret(route),
      timing: options.timing,
      ready: (link) => {
        this.#state = 'up';
        this.#link = new LinkerLink(link, {
          opened: (stream, flags) => this.#opened(stream, flags),
          done: (stream, keep) => (stream.handler as RelayedStream).done(keep),
          returned: (count) => this.#returned(count),
          moveWanted: (count) => this.#returned(count),
          newest: () => {},
          retireAnswer: () => {},
          goAway: () => this.#link?.recall(this.#link.lent),
          down: (reason) => this.#down(reason),
        });
        this.#link.grant(this.#inHand);
        this.#log.info('relaying');
      },
      failed: (reason) => {
        clearTimeout(deadline);
        this.#down(reason);
      },
    });
  }

  lend(count: number): void {
    if (this.#state === 'down') return;
    this.lender.link.reserve(count);
    this.#inHand += count;
    if (this.#state === 'up') this.#link?.grant(count);
  }

  recall(count: number): void {
    this.#link?.recall(count);
  }

  close(): void {
    this.#inHand = 0;
    if (this.#link !== null) this.#link.link.close('the relayed linker is gone');
    else this.#socket.destroy();
    this.#down('the relayed linker is gone');
  }

  #opened(stream: Stream, flags: number): void {
    this.#inHand--;
    const relayed: RelayedStream = new RelayedStream(stream, this.lender, this.#link as LinkerLink);
    stream.handler = relayed;
    relayed.begin(flags, () => {
      if (this.#state === 'up') this.#inHand++;
      else this.lender.link.release(1);
    });
  }

  #returned(count: number): void {
    this.#inHand -= count;
    this.lender.link.release(count);
  }

  #down(reason: string): void {
    if (this.#state === 'down') return;
    this.#state = 'down';
    this.#log.info({ reason }, 'relay ended');
    this.#gone();
    const back = this.#inHand;
    this.#inHand = 0;
    this.lender.link.release(back);
  }
}

/** Two streams as one: `near` comes from the node that holds the client, `far` goes to the real linker. */
class RelayedStream implements StreamHandler {
  readonly #near: Stream;
  readonly #lender: Lender;
  readonly #link: LinkerLink;
  #far: Stream | null = null;
  #nearWaiting = 0;
  #farWaiting = 0;

  constructor(near: Stream, lender: Lender, link: LinkerLink) {
    this.#near = near;
    this.#lender = lender;
    this.#link = link;
  }

  /** `over` is called when the slot is free of this stream. */
  begin(flags: number, over: () => void): void {
    const far: StreamHandler = {
      onData: (chunk) => this.#fromFar(chunk),
      onEnd: () => this.#near.end(),
      onDrain: () => {
        this.#near.consumed(this.#nearWaiting);
        this.#nearWaiting = 0;
      },
      onReset: (code, reached, reused) => this.#link.free(this.#near, code, reached, reused),
    };
    this.#far = this.#lender.link.openReserved(far, flags, () => {
      over();
      // Both ends of the slot become free together; nothing to do when the far side was reset: it has freed the near one.
      this.#link.free(this.#near, ResetCode.CLOSED, true, false);
    });
  }

  onData(chunk: Buffer): void {
    if (this.#far === null || this.#far.write(chunk)) this.#near.consumed(chunk.length);
    else this.#nearWaiting += chunk.length;
  }

  onEnd(): void {
    this.#far?.end();
  }

  onDrain(): void {
    this.#far?.consumed(this.#farWaiting);
    this.#farWaiting = 0;
  }

  /** The holding node gave the stream up, or its link broke. */
  onReset(code: ResetCodeValue): void {
    if (this.#far !== null) this.#lender.link.reset(this.#far, code === ResetCode.LINK_LOST ? ResetCode.CANCEL : code);
  }

  done(keep: boolean): void {
    if (this.#far === null) return;
    if (keep) this.#lender.link.doneAndKeep(this.#far);
    else this.#lender.link.doneAndClose(this.#far);
  }

  #fromFar(chunk: Buffer): void {
    if (this.#near.write(chunk)) this.#far?.consumed(chunk.length);
    else this.#farWaiting += chunk.length;
  }
}
