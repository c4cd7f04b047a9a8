/**
 * A small linker for tests of the node: it proves itself, lends its slots, and pumps each stream to a connection of its own to the
 * application, kept between streams. It starts no process and never asks for anything.
 */

import { connect, type Socket } from 'node:net';
import { Flag, ResetCode, type ResetCodeValue } from '../../../src/link/frames.ts';
import { dialLink } from '../../../src/link/handshake.ts';
import { type DoneHow, LinkerLink } from '../../../src/link/linker-link.ts';
import type { Stream, StreamHandler } from '../../../src/link/stream.ts';
import type { Ownership } from '../../../src/memory/reused-reads.ts';
import { eventually } from '../eventually.ts';

export interface FakeLinkerOptions {
  readonly backendPort: number;
  readonly appPort: number;
  readonly route?: string;
  readonly instance?: string;
  readonly seq?: number;
  /** Slots that it has, and lends at once. */
  readonly concurrency?: number;
  readonly lends?: number;
  readonly secret?: string;
  readonly startId?: string;
  /** How long ago its application was ready first. */
  readonly readyMs?: number;
}

/** Serves one stream its own way instead of the application; true when it did. */
export type Interception = (stream: Stream, flags: number, link: LinkerLink) => boolean;

const linkers = new Set<FakeLinker>();

export class FakeLinker {
  readonly link: LinkerLink;
  /** The flags of each stream's OPEN. */
  readonly opened: number[] = [];
  readonly #ended = { kept: 0, closed: 0, reset: 0 };
  /** Looks at each stream first. */
  intercept: Interception = () => false;
  downReason: string | null = null;
  readonly kept: AppSocket[] = [];
  readonly #appPort: number;

  private constructor(options: FakeLinkerOptions, makeLink: (linker: FakeLinker) => LinkerLink) {
    this.#appPort = options.appPort;
    this.link = makeLink(this);
  }

  /** Resolves when the node has accepted it; its slots are on their way. */
  static dial(options: FakeLinkerOptions): Promise<FakeLinker> {
    const { backendPort, route = '*', instance = 'i1', seq = 1, concurrency = 10, lends = concurrency, secret = 's' } = options;
    const { startId, readyMs } = options;
    const said = { ...(startId === undefined ? {} : { startId }), ...(readyMs === undefined ? {} : { readyMs }) };
    return new Promise((resolve, reject) =>
      dialLink(connect(backendPort, '127.0.0.1'), {
        hello: { route, instance, seq, concurrency, ...said },
        secret,
        failed: (reason) => reject(new Error(reason)),
        ready: (link) => {
          const linker = new FakeLinker(options, (self) => new LinkerLink(link, self.#events()));
          linkers.add(linker);
          linker.link.grant(lends);
          resolve(linker);
        },
      }),
    );
  }

  /** How the node ended its streams, `count` of them by now. */
  async ends(count: number): Promise<{ kept: number; closed: number; reset: number }> {
    const sum = (): number => this.#ended.kept + this.#ended.closed + this.#ended.reset;
    await eventually(`the end of ${count} streams`, () => sum() >= count);
    return { ...this.#ended };
  }

  /** Streams that occupy a slot. */
  get inUse(): number {
    return this.link.inUse;
  }

  /** Breaks the link. */
  close(): void {
    this.link.link.close('the test is over');
    for (const app of this.kept) app.destroy();
  }

  wasReset(): void {
    this.#ended.reset++;
  }

  #events(): ConstructorParameters<typeof LinkerLink>[1] {
    return {
      opened: (stream, flags) => this.#opened(stream, flags),
      done: (stream, how) => {
        if (how === 'keep') this.#ended.kept++;
        else this.#ended.closed++;
        (stream.handler as AppSocket).done(how);
      },
      // The stream keeps its connection to the application.
      parked: () => {},
      returned: () => {},
      moveWanted: () => {},
      newest: () => {},
      retireAnswer: () => {},
      goAway: () => {},
      down: (reason) => {
        this.downReason = reason;
      },
    };
  }

  #opened(stream: Stream, flags: number): void {
    this.opened.push(flags);
    if (this.intercept(stream, flags, this.link)) return;
    const kept = (flags & Flag.FRESH) === 0 ? this.kept.pop() : undefined;
    (kept ?? new AppSocket(this, this.#appPort)).serve(stream);
  }
}

/** One connection to the application. */
class AppSocket implements StreamHandler {
  readonly where = 'visit';
  readonly #linker: FakeLinker;
  readonly #socket: Socket;
  #stream: Stream | null = null;
  #verdict: ResetCodeValue = ResetCode.APP_REFUSED;
  #served = 0;
  #wrote = false;
  #answered = false;
  /** The node knows that the application sends no more. */
  #told = false;
  #undrained = 0;

  constructor(linker: FakeLinker, port: number) {
    this.#linker = linker;
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.#socket = socket;
    socket.on('connect', () => {
      this.#verdict = ResetCode.APP_CLOSED;
    });
    socket.on('data', (chunk: Buffer) => {
      this.#answered = true;
      if (this.#stream?.write(chunk) === false) socket.pause();
    });
    socket.on('drain', () => {
      const bytes = this.#undrained;
      this.#undrained = 0;
      this.#stream?.consumed(bytes);
    });
    // Before its answer a reused connection that ends was closed at the moment of its reuse: the node is told so.
    socket.on('end', () => {
      if (this.#stream === null || (this.#served > 1 && !this.#answered)) {
        socket.destroy();
        return;
      }
      this.#told = true;
      this.#stream.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#closed());
  }

  serve(stream: Stream): void {
    this.#served++;
    this.#stream = stream;
    this.#wrote = this.#answered = false;
    stream.handler = this;
  }

  done(how: DoneHow): void {
    if (how === 'close') {
      this.#over();
      return;
    }
    this.#stream = null;
    if (how === 'discard') {
      this.#socket.destroy();
      return;
    }
    if (this.#socket.destroyed) return;
    if (this.#socket.readableEnded) this.#socket.destroy();
    else this.#linker.kept.push(this);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  fail(): void {}

  onData(chunk: Buffer): Ownership {
    this.#wrote = true;
    if (this.#socket.write(chunk)) this.#stream?.consumed(chunk.length);
    else this.#undrained += chunk.length;
    return 'kept';
  }

  onEnd(): void {
    this.#socket.end();
  }

  onDrain(): void {
    this.#socket.resume();
  }

  onReset(): void {
    this.#linker.wasReset();
    this.#over();
  }

  #over(): void {
    this.#verdict = ResetCode.CLOSED;
    if (this.#socket.destroyed) this.#closed();
    else this.#socket.destroy();
  }

  #closed(): void {
    const at = this.#linker.kept.indexOf(this);
    if (at !== -1) this.#linker.kept.splice(at, 1);
    const stream = this.#stream;
    // Ended in order: the node knows, and its DONE is to come.
    if (stream === null || (this.#told && this.#verdict === ResetCode.APP_CLOSED)) return;
    this.#stream = null;
    const reached = this.#verdict !== ResetCode.APP_REFUSED && this.#wrote;
    this.#linker.link.free(stream, this.#verdict, reached, this.#served > 1);
  }
}

/** For `afterEach`. */
export function closeLinkers(): void {
  for (const linker of linkers) linker.close();
  linkers.clear();
}
