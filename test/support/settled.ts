import { setTimeout as delay } from 'node:timers/promises';

const QUIET_MS = 200;
const WITHIN_MS = 8_000;

/** Resolves with a number once it has not changed for a while: how far something goes that nothing announces. */
export async function settled(read: () => number): Promise<number> {
  const deadline = performance.now() + WITHIN_MS;
  let value = read();
  let since = performance.now();
  while (performance.now() - since < QUIET_MS) {
    if (performance.now() > deadline) throw new Error(`still changing: ${value}`);
    await delay(20);
    const next = read();
    if (next !== value) since = performance.now();
    value = next;
  }
  return value;
}

/** The node under test runs in this process: after a few turns of the event loop it has read what was sent to it. */
export async function turns(count = 4): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
