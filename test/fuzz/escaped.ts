/** Errors that reached the top of this process. In a node each of them would have ended it. */
const escaped: unknown[] = [];

/** From now on they are noted instead of ending the process. */
export function noteEscaped(): void {
  process.on('uncaughtException', (error) => escaped.push(error));
  process.on('unhandledRejection', (reason) => escaped.push(reason));
}

/** @throws the first one since the last call. */
export function throwEscaped(): void {
  const [first] = escaped.splice(0);
  if (first !== undefined) throw first;
}
