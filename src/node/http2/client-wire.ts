import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type FailureDomain, guard } from '../../boundary.ts';
import { ownBytes } from '../../memory/reused-reads.ts';
import { FrameJudge } from './frame-judge.ts';
import { FrameWalk, goAwayFrame } from './frame-walk.ts';
import type { WireLimits } from './http2-limits.ts';
import type { WindowBudget } from './upload-windows.ts';

const PREFACE_BYTES = 24;
/** Turns of the event loop within which Node writes what nghttp2 has made, when the socket takes it: it ends one write, and makes the next. */
const WRITE_TURNS = 3;

/** `over`: the client is sent away, what it sends is not looked at. `silent`: it has been told so. */
type State = 'open' | 'over' | 'silent';

/**
 * A client's connection as nghttp2 sees it. nghttp2 drops malformed fields in silence, Node ends a connection for one stream's fault, both
 * count what a client does over a connection's whole life, and neither lets a single stream have a larger window. So the frames of both
 * directions are read here: nothing is stored of them but what is open.
 */
export class ClientWire extends Duplex {
  readonly judge: FrameJudge;
  readonly #socket: Socket;
  readonly #connection: FailureDomain;
  readonly #ended: (code: number, reason: string) => void;
  readonly #inbound: FrameWalk;
  readonly #outbound: FrameWalk;
  /** Frames of ours that wait until none of nghttp2's is in the middle. */
  #unsaid: Buffer[] = [];
  /** Those that wait until what was written before has gone. */
  readonly #last: Buffer[] = [];
  #written: ((error?: Error | null) => void) | null = null;
  #state: State = 'open';

  /** `ended` is told once, when the client has to be sent away: by what error, and why. */
  constructor(
    socket: Socket,
    limits: WireLimits,
    budget: WindowBudget,
    connection: FailureDomain,
    ended: (code: number, reason: string) => void,
  ) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#connection = connection;
    this.#ended = guard(connection, ended);
    this.judge = new FrameJudge(limits, budget, {
      say: (frame) => this.#say(frame),
      sayLast: (frame) => this.#sayLast(frame, WRITE_TURNS),
      insert: (frame) => this.#inbound.insert(frame),
      end: (code, reason) => this.#end(code, reason),
    });
    this.#inbound = new FrameWalk(this.judge.received, PREFACE_BYTES);
    this.#outbound = new FrameWalk(this.judge.sent, 0);
    // 'close' follows.
    this.on('error', () => {});
    const data = guard(connection, (bytes: Buffer) => this.#take(bytes));
    const end = guard(connection, () => void this.push(null));
    const drain = guard(connection, () => this.#drained());
    const close = guard(connection, () => void this.destroy());
    socket.on('data', data);
    socket.on('end', end);
    socket.on('drain', drain);
    socket.once('close', close);
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send([bytes], done);
  }

  override _writev(pieces: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(
      pieces.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: () => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#state = 'silent';
    this.#socket.destroy();
    this.#drained();
    done(error);
  }

  #take(bytes: Buffer): void {
    if (this.#state !== 'open') return;
    let hasRoom = true;
    for (const part of this.#inbound.take(ownBytes(bytes))) if (!this.destroyed) hasRoom = this.push(part);
    if (!hasRoom) this.#socket.pause();
  }

  #send(pieces: readonly Buffer[], done: (error?: Error | null) => void): void {
    if (this.#state === 'silent') {
      done();
      return;
    }
    let hasRoom = !this.#socket.writableNeedDrain;
    this.#socket.cork();
    for (const piece of pieces) for (const part of this.#outbound.take(piece)) hasRoom = this.#socket.write(part);
    if (this.#unsaid.length > 0 && this.#outbound.between) for (const frame of this.#unsaid.splice(0)) hasRoom = this.#socket.write(frame);
    this.#socket.uncork();
    if (hasRoom || this.#socket.destroyed) done();
    else this.#written = done;
  }

  #drained(): void {
    const written = this.#written;
    this.#written = null;
    written?.();
    for (const frame of this.#last.splice(0)) this.#sayLast(frame, WRITE_TURNS);
  }

  #sayLast(frame: Buffer, turns: number): void {
    if (this.#state === 'silent') return;
    // A write waits for the client, and others behind it.
    if (this.#written !== null) this.#last.push(frame);
    else if (turns === 0) this.#say(frame);
    else setImmediate(guard(this.#connection, () => this.#sayLast(frame, turns - 1)));
  }

  #say(frame: Buffer): void {
    if (this.#state === 'silent') return;
    if (!this.#outbound.between) this.#unsaid.push(frame);
    else if (this.#socket.writable) this.#socket.write(frame);
  }

  /** Once: what follows is not looked at. */
  #end(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'over';
    // The session may be in the middle of writing.
    const say = guard('client', () => {
      // Said here: while a write of its own is on its way, Node says nothing when it destroys a session.
      if (this.#outbound.between && this.#socket.writable) this.#socket.write(goAwayFrame(this.judge.lastStream, code));
      this.#state = 'silent';
      this.#ended(code, reason);
    });
    setImmediate(say);
  }
}
