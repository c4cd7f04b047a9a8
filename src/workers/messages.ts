/** The messages between a supervisor and its workers, over the channel that Node gives to a child process. */

export type ToWorker =
  /** Leave gracefully; serve on for so long before. */
  | { readonly t: 'leave'; readonly delayMs: number }
  /** Keys of TLS session tickets; the first one encrypts. */
  | { readonly t: 'ticket-keys'; readonly keys: readonly Uint8Array[] }
  | { readonly t: 'call'; readonly call: number; readonly method: string; readonly args: readonly unknown[] };

export type FromWorker =
  /** The worker serves; `facts` are what it says about itself. */
  | { readonly t: 'ready'; readonly facts: unknown }
  /** The worker can't start, and why; then it ends. */
  | { readonly t: 'failed'; readonly error: Failure }
  /** The worker lives; `facts` as above. */
  | { readonly t: 'beat'; readonly facts: unknown }
  /** Somebody wants the configuration to be read anew, by all workers. */
  | { readonly t: 'reload' }
  | { readonly t: 'answer'; readonly call: number; readonly value: unknown }
  | { readonly t: 'failure'; readonly call: number; readonly error: Failure };

/** An error on its way to another process. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  /** The problems of a `ConfigError`. */
  readonly problems?: readonly string[];
  /** The code of a system error. */
  readonly syscall?: string;
  readonly code?: string;
}

/** A worker says that it lives this often. */
export const BEAT_MS = 1_000;
