/**
 * The variables of the scaler's environment that a startup command needs to run, and to reach its scheduler.
 * No others are passed on: the scaler has secrets (Redis, the linkers' secret) that a container must not see.
 */
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'USER', 'DOCKER_HOST'];
const PASSED_ON_PREFIX = 'KUBERNETES_';

/** @param names more variables to pass on (`--command-env NAME`). */
export function selectCommandEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  names: readonly string[] = [],
): Record<string, string> {
  const wanted = new Set([...PASSED_ON, ...names]);
  const selected: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (wanted.has(name) || name.startsWith(PASSED_ON_PREFIX))) selected[name] = value;
  }
  return selected;
}
