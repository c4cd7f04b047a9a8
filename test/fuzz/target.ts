/** What is fuzzed: a piece of code that strangers' bytes reach, and what must hold whatever they are. */
export interface Target {
  readonly name: string;
  /** Parts of the paths of the sources whose coverage guides the search. */
  readonly sources: readonly string[];
  /** Inputs to begin with, besides the corpus. */
  readonly seeds: readonly Buffer[];
  /** Words of the language that mutations put in. */
  readonly words: readonly string[];
  /** Set where an input is a list of lines: lines are moved, copied and dropped as well. */
  readonly lines?: boolean;
  /** How many inputs a second it takes, roughly: real sockets are slower than a function call. Default: thousands. */
  readonly pace?: 'sockets';
  /** Throws when something does not hold. */
  run(bytes: Buffer): void | Promise<void>;
  /** After a failure: what is left of the last input goes. */
  restart?(): Promise<void>;
}

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Where the input itself says that it is to be cut: the same bytes in pieces must mean the same. */
export function piecesOf(bytes: Buffer): Buffer[] {
  const size = 1 + ((bytes.at(-1) ?? 0) % 23);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}
