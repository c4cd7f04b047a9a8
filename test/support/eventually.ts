import { setTimeout as delay } from 'node:timers/promises';

/** Asks until the answer is true, for what no event announces. The error says the last answer, or why there was none. */
export async function eventually(description: string, check: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  let failure: unknown;
  do {
    try {
      failure = undefined;
      if (await check()) return;
    } catch (error) {
      failure = error;
    }
    await delay(20);
  } while (performance.now() < deadline);
  throw new Error(`not within ${withinMs} ms: ${description}`, { cause: failure });
}
