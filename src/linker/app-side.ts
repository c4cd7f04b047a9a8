import type { ResetCodeValue } from '../link/frames.ts';
import type { DoneHow } from '../link/linker-link.ts';
import type { Stream, StreamHandler } from '../link/stream.ts';

/** The lender of a stream's slot. Called exactly once for each stream that did not end by DONE with KEEP. */
export interface Lender {
  free(stream: Stream, code: ResetCodeValue, reached: boolean, reused: boolean): void;
  /** The limit was lowered while the stream was on its way: it waits for room, and the node may take it back. */
  waits(stream: Stream): void;
}

/** The application's side of a stream: a connection, or a place in the queue for one. */
export interface AppSide extends StreamHandler {
  /** When the application's last bytes came, see heard.ts; 0: it has said nothing. */
  readonly heardAt: number;
  /** The node's DONE. */
  done(how: DoneHow): void;
  /** The node wants it back. Absent: the application has it. */
  giveBack?(): void;
  /** The node's PARK: the stream occupies no slot any more, and stays. */
  park(): void;
  /** The node's UNPARK: the stream's next exchange begins. */
  unpark(): void;
}
