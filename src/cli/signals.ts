/** SIGTERM and SIGINT: the first one asks to leave gracefully, each further one to leave at once. */
export function onSignals(leave: () => void, atOnce: (exitCode: number) => void): void {
  let leaving = false;
  for (const [signal, number] of [
    ['SIGTERM', 15],
    ['SIGINT', 2],
  ] as const) {
    process.on(signal, () => {
      if (leaving) return atOnce(128 + number);
      leaving = true;
      leave();
    });
  }
}

/** Resolves with the first signal; the second one ends the process. */
export function firstSignal(): Promise<void> {
  return new Promise((resolve) => onSignals(resolve, (code) => process.exit(code)));
}
