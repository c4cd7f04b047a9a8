import type { FailureDomain } from '../../boundary.ts';
import type { Fields } from './fields.ts';

/** What is done about a stream's events. After `closed` there is none. An error of ours in one of them ends it. */
export interface StreamOwner extends FailureDomain {
  data(piece: Buffer): void;
  /** What it got it can't pass on yet: the client may not send more. */
  readonly keepsBody?: boolean;
  /** The client has sent END_STREAM: its request is complete. A reset is no end. */
  ended(trailers: Fields): void;
  drained(): void;
  /** So many bytes came while the stream is not read: they lie in it, up to its window. */
  unread(bytes: number): void;
  /** Once: the stream was reset by the client or by us, broke with its connection, or both sides have ended. */
  closed(code: number): void;
}
