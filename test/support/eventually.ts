import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE } from './patience.ts';

/** Asks until the answer is true, for what no event announces. The error says the last answer, or why there was none. */
export async function eventually(description: string, check: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const begun = performance.now();
  const deadline = begun + withinMs * PATIENCE;
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
  const why = failure === undefined ? '' : `\n${failure instanceof Error ? failure.message : String(failure)}`;
  throw new Error(`not within ${Math.round(performance.now() - begun)} ms: ${description}${why}`, { cause: failure });
}
