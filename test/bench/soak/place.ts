/** Two nodes with a Redis, and a linker for each kind of application: what a soak loads and watches. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../../src/linker/free-port.ts';
import { Inspector } from '../inspector.ts';
import { Surroundings } from '../surroundings.ts';

/** How long a client waits in vain for the route that nobody serves. */
const HOLD_TIMEOUT = '2s';

export const Route = {
  /** 50 slots, linked to the second node; the first one gets its share over there. */
  WEB: 'web.test',
  /** Two slots, linked to the first node: those of clients at the second one come over. */
  MOVED: 'moved.test',
  /** Configured, and never started. */
  HELD: 'held.test',
  /** The route for TCP. */
  ECHO: 'echo',
} as const;

/** A process of pullproxy that is watched. */
export interface Watched {
  readonly name: string;
  readonly pid: number;
  readonly inspector: Inspector;
  /** HOST:PORT of a node's. */
  readonly admin?: string;
}

export interface Place {
  readonly surroundings: Surroundings;
  /** HTTP at both nodes. */
  readonly nodes: readonly [port: number, port: number];
  /** TCP at the first one. */
  readonly echo: number;
  readonly redisPort: number;
  readonly appPid: number;
  readonly watched: readonly Watched[];
}

export async function openPlace(): Promise<Place> {
  const surroundings = new Surroundings();
  try {
    return await startIn(surroundings);
  } catch (error) {
    await surroundings.close();
    throw error;
  }
}

async function startIn(surroundings: Surroundings): Promise<Place> {
  const redis = await surroundings.startRedis();
  const app = await surroundings.startApp('everything.mjs');
  const echo = await surroundings.startApp('echo.mjs');
  const config = join(surroundings.directory, 'soak.yaml');
  writeFileSync(config, `routes:\n  ${Route.HELD}:\n    holdTimeout: ${HOLD_TIMEOUT}\n    maxInstances: 1\n`);
  const watched: Watched[] = [];
  const inspected = async <T extends { pid: number; admin?: string }>(name: string, start: (flags: string[]) => Promise<T>): Promise<T> => {
    const port = await freePort();
    const started = await start([`--inspect=127.0.0.1:${port}`, '--inspect-publish-uid=http']);
    watched.push({ name, pid: started.pid, inspector: await Inspector.open(port), ...(started.admin ? { admin: started.admin } : {}) });
    return started;
  };
  const tcpPort = await freePort();
  const args = ['--redis', redis, '--config', config];
  const tcp = ['--listen', `tcp://127.0.0.1:${tcpPort}?route=${Route.ECHO}`];
  const a = await inspected('node a', (flags) => surroundings.startNode({ args: [...args, ...tcp], flags }));
  const b = await inspected('node b', (flags) => surroundings.startNode({ args, flags }));
  const linker = (name: string, proxy: string, port: number, route: string, concurrency: number) =>
    inspected(name, async (flags) => ({ pid: await surroundings.startLinker(proxy, port, { route, concurrency, flags }) }));
  await linker('linker', b.backend, app.port, Route.WEB, 50);
  await linker('linker moved', a.backend, app.port, Route.MOVED, 2);
  await linker('linker tcp', a.backend, echo.port, Route.ECHO, 50);
  const port = (address: string): number => Number(address.split(':')[1]);
  return {
    surroundings,
    nodes: [port(a.address), port(b.address)],
    echo: tcpPort,
    redisPort: Number(new URL(redis).port),
    appPid: app.pid,
    watched,
  };
}
