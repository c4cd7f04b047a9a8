/** A scaler of which the starts of some applications fail. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COUNTING_APP } from './apps/apps.ts';
import { type ClusterNode, linkerArgs, SECRET } from './cluster.ts';
import { ownDirectory, type Running, startProcess } from './processes.ts';
import { MAIN } from './program-path.ts';

const START_LINKER = fileURLToPath(new URL('./apps/start-linker.mjs', import.meta.url));

/**
 * For a route that begins with `broken` it only says what is wrong; for others it puts a linker into the background. With a GATE, a broken
 * route's first start fails at once, and further ones as soon as its gate is open: after three, nobody is held for it any more.
 */
const SCRIPT = `
case "$ROUTE" in broken*)
  echo "pulling the image"
  if [ -n "\${GATE:-}" ] && ! mkdir "$GATE/$ROUTE" 2>/dev/null; then
    until [ -e "$GATE/$ROUTE/open" ]; do sleep 0.05; done
  fi
  echo "image not found" >&2
  exit 125;;
esac
exec "$@"`;

export class Gate {
  readonly directory = ownDirectory();

  open(route: string): void {
    writeFileSync(join(this.directory, route, 'open'), '');
  }
}

export function startBreakableScaler(redisUrl: string, nodes: readonly ClusterNode[], concurrency: number, gate?: Gate): Promise<Running> {
  const proxies = nodes.map(({ backend }) => backend);
  const args = ['--idle-timeout', '5m', '--old-idle-timeout', '5m'];
  const linker = linkerArgs({ proxies, route: '{route}', concurrency, app: COUNTING_APP, args });
  const command = ['sh', '-c', SCRIPT, 'sh', process.execPath, START_LINKER, MAIN, ...linker];
  const env = { LINKER_SECRET: SECRET, ...(gate === undefined ? {} : { GATE: gate.directory }) };
  const given = Object.keys(env).flatMap((name) => ['--command-env', name]);
  return startProcess(['scaler', '--redis', redisUrl, '--rate', '50/1s', ...given, '--', ...command], { env });
}
