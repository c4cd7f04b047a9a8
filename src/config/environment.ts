/** The environment of this process. Other rooms read it here only. */
export function inheritedEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/**
 * The environment that a linker's settings are read from. A linker that is started inside the application of another one inherits that one's control socket,
 * which is told to the application and is no setting of its own.
 */
export function linkerEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  if (environment.PULLPROXY_INSTANCE === undefined) return environment;
  const { PULLPROXY_CONTROL: _inherited, ...own } = environment;
  return own;
}
