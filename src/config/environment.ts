/** What this process was started with; others ask here instead of reading it themselves. */
export function inheritedEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
