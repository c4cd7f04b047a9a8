/** What a supervisor and its workers say to each other, over the channel that Node gives to a child process. */

export type ToWorker =
  /** Leave gracefully; serve on for so long before. */
  | { readonly t: 'leave'; readonly delayMs: number }
  /** Of TLS session tickets; the first one encrypts. */
  | { readonly t: 'ticket-keys'; readonly keys: readonly Uint8Array[] }
  | { readonly t: 'call'; readonly call: number; readonly method: string; readonly args: readonly unknown[] };

export type FromWorker =
  /** It serves; `facts` are whatever it says of itself. */
  | { readonly t: 'ready'; readonly facts: unknown }
  /** It can't start, and why; it ends after that. */
  | { readonly t: 'failed'; readonly error: Failure }
  /** It lives; with what else it says. */
  | { readonly t: 'beat'; readonly facts: unknown }
  | { readonly t: 'answer'; readonly call: number; readonly value: unknown }
  | { readonly t: 'failure'; readonly call: number; readonly error: Failure };

/** An error on its way to another process. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  /** Of a `ConfigError`. */
  readonly problems?: readonly string[];
  /** Of what the system refused. */
  readonly syscall?: string;
  readonly code?: string;
}

/** A worker says that it lives this often. */
export const BEAT_MS = 1_000;
