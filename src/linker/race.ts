/** Dialling several addresses, one of which may not answer: staggered, as clients on the web do it (RFC 8305 section 5). */
import { guard } from '../boundary.ts';

/** RFC 8305's Connection Attempt Delay: when one has not answered by then, the next is tried beside it. */
const STAGGER_MS = 250;

export interface Race<T, R> {
  /** In the order in which they are tried. */
  readonly targets: readonly T[];
  /** @throws when it fails, or its signal aborts. */
  readonly attempt: (target: T, signal: AbortSignal) => Promise<R>;
  /** For each of them. */
  readonly timeoutMs: number;
  readonly failed: (target: T, error: unknown) => void;
  /** Asked before each attempt: true when none is needed any more. */
  readonly isOver?: () => boolean;
  readonly signal: AbortSignal;
}

/**
 * Resolves with the first success, with null when it is over without one being needed. The others are aborted.
 * @throws the last failure, when all have failed
 */
export function race<T, R>({ targets, attempt, timeoutMs, failed, isOver, signal }: Race<T, R>): Promise<R | null> {
  const { promise, resolve, reject } = Promise.withResolvers<R | null>();
  const decided = new AbortController();
  let next = 0;
  let running = 0;
  let last: unknown = new Error('the name has no address');
  let timer: NodeJS.Timeout | null = null;

  const decide = (how: () => void): void => {
    if (timer !== null) clearTimeout(timer);
    how();
    decided.abort(new Error('another address has answered first'));
  };
  const lost = (target: T, error: unknown): void => {
    running--;
    if (decided.signal.aborted) return;
    last = error;
    if (!signal.aborted) failed(target, error);
    go();
  };
  const go = guard('timer', (): void => {
    if (timer !== null) clearTimeout(timer);
    if (decided.signal.aborted) return;
    if (signal.aborted || isOver?.() === true) {
      decide(() => resolve(null));
      return;
    }
    if (next >= targets.length) {
      if (running === 0) decide(() => reject(last));
      return;
    }
    const target = targets[next++] as T;
    running++;
    const until = AbortSignal.any([signal, decided.signal, AbortSignal.timeout(timeoutMs)]);
    attempt(target, until).then(
      (result) => decide(() => resolve(result)),
      (error: unknown) => lost(target, error),
    );
    timer = setTimeout(go, STAGGER_MS);
  });
  go();
  return promise;
}
