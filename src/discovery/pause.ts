import { setTimeout as delay } from 'node:timers/promises';

const FIRST_MS = 500;
const MOST_MS = 15_000;

/** Before the next try after so many failures, or as long as the other side has said (0: it has not). Never rejects. */
export async function pauseAfter(failures: number, retryAfterMs: number, signal: AbortSignal): Promise<void> {
  const pauseMs = Math.max(retryAfterMs, Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(failures, 10)));
  await delay(pauseMs * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
}
