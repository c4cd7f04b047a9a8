/** The environment of this process. Other rooms read it here only. */
export function inheritedEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
