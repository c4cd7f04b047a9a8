import type { FailureDomain } from '../../boundary.ts';
import type { Fields } from './fields.ts';

/** Called for a stream's events. No call follows `closed`. An error of ours in one of them ends the stream. */
export interface StreamOwner extends FailureDomain {
  data(piece: Buffer): void;
  /** It can't pass on yet the bytes that it got: the client may not send more. */
  readonly keepsBody?: boolean;
  /** The client has sent END_STREAM: its request is complete. A reset is no end. */
  ended(trailers: Fields): void;
  drained(): void;
  /** So many bytes came while the stream is not read: they lie in it, up to its window. */
  unread(bytes: number): void;
  /** Once: the stream was reset by the client or by us, broke with its connection, or both sides have ended. */
  closed(code: number): void;
}
