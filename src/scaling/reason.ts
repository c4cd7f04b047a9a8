/** What to log of an error: its first line alone, because Redis' client attaches the command, and a command may carry a password. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
