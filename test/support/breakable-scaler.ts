/** A scaler of which the starts of some applications fail. */
import { fileURLToPath } from 'node:url';
import { COUNTING_APP } from './apps/apps.ts';
import { type ClusterNode, linkerArgs, SECRET } from './cluster.ts';
import { type Running, startProcess } from './processes.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const START_LINKER = fileURLToPath(new URL('./apps/start-linker.mjs', import.meta.url));

/** Of a route that begins with `broken` it only says what is wrong; for others it puts a linker into the background. */
const SCRIPT = 'case "$ROUTE" in broken*) echo "pulling the image"; echo "image not found" >&2; exit 125;; esac; exec "$@"';

export function startBreakableScaler(redisUrl: string, nodes: readonly ClusterNode[], concurrency: number): Promise<Running> {
  const proxies = nodes.map(({ backend }) => backend);
  const args = ['--idle-timeout', '5m', '--old-idle-timeout', '5m'];
  const linker = linkerArgs({ proxies, route: '{route}', concurrency, app: COUNTING_APP, args });
  const command = ['sh', '-c', SCRIPT, 'sh', process.execPath, START_LINKER, MAIN, ...linker];
  return startProcess(['scaler', '--redis', redisUrl, '--rate', '50/1s', '--command-env', 'LINKER_SECRET', '--', ...command], {
    env: { LINKER_SECRET: SECRET },
  });
}
