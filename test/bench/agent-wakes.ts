/**
 * How long a wake from zero takes with an agent, and with the recipe for processes, which starts a shell and a linker for each instance. Both routes
 * have the same node, Redis, scaler and application, and take turns, so that whatever else the machine does hits both.
 *
 *     npm run bench:agents [-- --wakes 20]
 *
 * Needs redis-server, and setsid.
 */
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { percentile } from './load.ts';
import { Surroundings } from './surroundings.ts';

const { values } = parseArgs({ options: { wakes: { type: 'string', default: '20' } } });
const WAKES = Number(values.wakes);
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const RECIPE = fileURLToPath(new URL('../../deploy/recipes/process/start.sh', import.meta.url));
const APP = fileURLToPath(new URL('./apps/late.mjs', import.meta.url));
const IDLE = ['--idle-timeout', '100ms', '--old-idle-timeout', '100ms'];
const ROUTES = { agent: 'agent.test', recipe: 'recipe.test' } as const;

const surroundings = new Surroundings();
try {
  const redis = await surroundings.startRedis();
  for (const route of Object.values(ROUTES)) await surroundings.setRoute(redis, route, ['maxInstances=1', 'holdTimeout=5m']);
  const node = await surroundings.startNode({ args: ['--redis', redis] });
  await startScaler(redis, node.backend);
  const agent = ['linker', '--proxy', node.backend, '--route', ROUTES.agent, '--instances', '0-1', ...IDLE];
  await surroundings.children.pullproxy([...agent, '--', process.execPath, APP]);
  const waits: Record<string, number[]> = { agent: [], recipe: [] };
  for (let wake = 0; wake <= WAKES; wake++) {
    for (const [way, route] of Object.entries(ROUTES)) {
      await asleep(node.admin, route);
      const ms = await ask(node.address, route);
      // The first ones load files and know no agent yet.
      if (wake > 0) waits[way]?.push(ms);
    }
  }
  for (const [way, all] of Object.entries(waits)) {
    const [half, most] = [percentile(all, 50), percentile(all, 95)].map((ms) => ms.toFixed(0));
    console.log(`${way}: ${all.length} wakes, half within ${half} ms, 95 % within ${most} ms`);
  }
  console.log(
    `load average ${loadavg()
      .map((load) => load.toFixed(1))
      .join(', ')}`,
  );
} finally {
  await surroundings.close();
}

/** Its command is run for the route without an agent. */
async function startScaler(redis: string, backend: string): Promise<void> {
  const bin = join(surroundings.directory, 'bin');
  mkdirSync(bin);
  const program = join(bin, 'pullproxy');
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
  chmodSync(program, 0o755);
  const file = join(surroundings.directory, 'app.env');
  writeFileSync(file, `PULLPROXY_PROXY=${backend}\nPULLPROXY_IDLE_TIMEOUT=100ms\nPULLPROXY_OLD_IDLE_TIMEOUT=100ms\n`);
  const env = { PATH: `${bin}:${process.env.PATH}`, PULLPROXY_ENV: file, PULLPROXY_LOGS: join(surroundings.directory, 'logs') };
  const given = Object.keys(env).flatMap((name) => ['--command-env', name]);
  await surroundings.children.pullproxy(['scaler', '--redis', redis, ...given, '--', RECIPE, process.execPath, APP], env);
}

/** Nothing of the route is there. */
async function asleep(admin: string, route: string): Promise<void> {
  for (;;) {
    const { routes } = (await (await fetch(`http://${admin}/api/v1/state`)).json()) as {
      routes: { name: string; instances: unknown[]; starting: number }[];
    };
    const one = routes.find(({ name }) => name === route);
    if (one !== undefined && one.instances.length === 0 && one.starting === 0) return;
    await pause(20);
  }
}

/** Returns how long the client waited for its whole response, in ms. */
async function ask(address: string, host: string): Promise<number> {
  const askedAt = performance.now();
  const [response] = await once(get(`http://${address}/`, { headers: { host }, agent: false }), 'response');
  if (response.statusCode !== 200) throw new Error(`${host}: ${response.statusCode}`);
  response.resume();
  await once(response, 'end');
  return performance.now() - askedAt;
}
