/** Resolves with the first SIGTERM or SIGINT: time to leave gracefully. The second one ends the process at once. */
export function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let leaving = false;
    for (const [signal, number] of [
      ['SIGTERM', 15],
      ['SIGINT', 2],
    ] as const) {
      process.on(signal, () => {
        if (leaving) process.exit(128 + number);
        leaving = true;
        resolve(signal);
      });
    }
  });
}
