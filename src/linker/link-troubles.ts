import type { Log } from '../log.ts';
import { BoundedMap } from '../memory/bounded-map.ts';
import { outOfFilesWords } from './open-files.ts';

const REPEAT_AFTER_MS = 60_000;
const ADDRESSES_MAX = 1_000;

/** Logs why a node can't be linked: at most once a minute for each address. */
export class LinkTroubles {
  readonly #log: Log;
  /** Address → when it was last spoken of; performance.now() in ms. */
  readonly #said = new BoundedMap<string, number>(ADDRESSES_MAX);

  constructor(log: Log) {
    this.#log = log;
  }

  failed(address: string, error: unknown): void {
    const now = performance.now();
    const last = this.#said.get(address);
    if (last !== undefined && now - last < REPEAT_AFTER_MS) return;
    this.#said.set(address, now);
    this.#log.warn({ address, reason: linkReason(error) }, 'a node can not be linked');
  }
}

function linkReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'it does not answer in time';
  return outOfFilesWords(/\bE[MN]FILE\b/.exec(error.message)?.[0]) ?? error.message;
}
