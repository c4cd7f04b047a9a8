/** The part of an error to log: its first line only, because Redis's client adds the command, which may contain a password. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
