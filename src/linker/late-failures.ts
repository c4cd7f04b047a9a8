import type { Duplex } from 'node:stream';
import { guard } from '../boundary.ts';

/** After a write has failed: what a client that reads slowly may take to read the response that is there. */
const READ_ON_MS_MAX = 5_000;

type Done = (error?: Error | null) => void;

/**
 * Writes that fail end their socket late. An application that answers early (413) and closes resets its connection, since it has not read
 * everything. The next write fails, and Node would destroy the socket with the response still unread in the kernel. So a write that fails waits
 * until reading has come to its end.
 */
export class LateFailures {
  readonly #socket: Duplex;
  readonly #failed: () => void;
  /** Ends the socket by the write that failed; null: none has. */
  #end: (() => void) | null = null;

  /** `failed` is called at once when a write fails. */
  constructor(socket: Duplex, failed: () => void) {
    this.#socket = socket;
    this.#failed = failed;
    const { _write: write, _writev: writev } = socket;
    // A stream gives the same `done` to all its writes: no closure is made for each.
    let last: Done = () => {};
    const watched: Done = (error) => {
      if (error) this.#writeFailed(error, last);
      else last();
    };
    const guarded = (done: Done): Done => {
      last = done;
      return watched;
    };
    socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, guarded(done));
    if (writev !== undefined) socket._writev = (chunks, done) => writev.call(socket, chunks, guarded(done));
  }

  /** A write has failed and waits. */
  get isPending(): boolean {
    return this.#end !== null;
  }

  /** Reading has come to its end: the socket may be destroyed. */
  end(): void {
    this.#end?.();
  }

  #writeFailed(error: Error, done: Done): void {
    this.#failed();
    if (this.#socket.readableEnded || this.#socket.destroyed) {
      done(error);
      return;
    }
    const giveUp = guard('application', () => done(error));
    const overdue = setTimeout(giveUp, READ_ON_MS_MAX);
    this.#end = () => {
      clearTimeout(overdue);
      done(error);
    };
    this.#socket.once('close', () => clearTimeout(overdue));
  }
}
