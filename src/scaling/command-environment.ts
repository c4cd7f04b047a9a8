/**
 * What of the scaler's own environment a startup command needs to run at all, and to reach the scheduler that it calls.
 * Nothing else goes through: the scaler knows secrets (Redis, the linkers' secret) that no container has to see.
 */
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'USER', 'DOCKER_HOST'];
const PASSED_ON_PREFIX = 'KUBERNETES_';

/** @param names further variables that the user wants to pass on (`--command-env NAME`). */
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
