import { readFileSync } from 'node:fs';
import { DEV } from '../../config/commands/dev.ts';
import { NODE } from '../../config/commands/node.ts';
import { SCALER } from '../../config/commands/scaler.ts';
import { formatHostPort, type HostPort, ownHost } from '../../config/host-port.ts';
import { loadCommand } from '../../config/load.ts';

const PATIENCE_MS = 2_000;

/**
 * Checks whether the pullproxy of this container is alive, for the image's HEALTHCHECK. It asks the admin port, whose address is in the flags,
 * the environment and the file of that process. A process without an admin port (a linker, a scaler without --admin) lives as long as its container.
 * @param mainProcess the command line of the container's first process, as in proc(5)
 */
export async function health(_argv: readonly string[], mainProcess = readFileSync('/proc/1/cmdline', 'utf8')): Promise<number> {
  const words = mainProcess.split('\0').slice(0, -1);
  // Node, and perhaps an init, come before it.
  const at = words.findIndex((word) => /(^|\/)(pullproxy|main\.(?:ts|cjs))$/.test(word));
  const admin = await adminOf(words[at + 1], words.slice(at + 2));
  if (admin === null) return 0;
  const url = `http://${formatHostPort({ ...admin, host: ownHost(admin.host) })}/healthz`;
  const { ok } = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => ({ ok: false }));
  if (!ok) console.error(`${url} does not answer with 200`);
  return ok ? 0 : 1;
}

async function adminOf(command: string | undefined, argv: readonly string[]): Promise<HostPort | null> {
  if (command === 'node') return (await loadCommand(NODE, argv))?.values.admin ?? null;
  if (command === 'dev') return (await loadCommand(DEV, argv))?.values.admin ?? null;
  if (command === 'scaler') return (await loadCommand(SCALER, argv))?.values.admin ?? null;
  return null;
}
