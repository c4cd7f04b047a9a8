/** Runs `work`, never twice at once. A call during a run begins another run after it, which all further calls join. */
export function inTurns<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  let next: Promise<T> | null = null;
  const run = (): Promise<T> => {
    const now = work().finally(() => {
      if (running === now) running = null;
    });
    running = now;
    return now;
  };
  return () => {
    if (next !== null) return next;
    if (running === null) return run();
    next = running
      .catch(() => null)
      .then(() => {
        next = null;
        return run();
      });
    return next;
  };
}
