/**
 * What a storm of retries leaves of honest traffic: honest clients at half of what the application can do, and beside them for a while some times
 * as much as it can do from clients that give up after two seconds and ask three times. Two nodes, a Redis, an application with four workers:
 *
 *     npm run bench:storm [-- --times 2,10] [--seconds 20] [--work-ms 80] [--only adaptive,fifo,timeout,lifo,lifo-timeout,haproxy]
 *
 * Needs redis-server and haproxy.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Clients } from './storm/clients.ts';
import { type Outcome, outcomeOf } from './storm/outcome.ts';
import { Surroundings } from './surroundings.ts';

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '2,10' },
    seconds: { type: 'string', default: '20' },
    'work-ms': { type: 'string', default: '80' },
    only: { type: 'string' },
  },
});
/** The application's concurrency: as many requests as it works on. */
const WORKERS = 4;
const CALM_SECONDS = 4;
const AFTER_SECONDS = 20;
/** Settings of the route, and what is loaded into the nodes; null: HAProxy with a long queue. */
interface Way {
  readonly settings: readonly string[];
  readonly flags?: readonly string[];
}
const NEWEST_FIRST = ['--import', new URL('./storm/lifo.ts', import.meta.url).href];
const WAYS: Readonly<Record<string, Way | null>> = {
  adaptive: { settings: [] },
  fifo: { settings: ['queueOrder=fifo'] },
  timeout: { settings: ['queueOrder=fifo', 'holdTimeout=1s'] },
  lifo: { settings: ['queueOrder=fifo'], flags: NEWEST_FIRST },
  'lifo-timeout': { settings: ['queueOrder=fifo', 'holdTimeout=500ms'], flags: NEWEST_FIRST },
  haproxy: null,
};
const ROUTE = 'storm.test';

const workMs = Number(values['work-ms']);
const capacity = (WORKERS * 1_000) / workMs;
const only = values.only?.split(',') ?? Object.keys(WAYS);
console.log(`capacity ${capacity} a second; honest clients ${capacity / 2} a second`);
for (const times of values.times.split(',').map(Number)) {
  for (const name of only) {
    const way = WAYS[name];
    if (way === undefined) throw new Error(`--only: there are ${Object.keys(WAYS).join(', ')}`);
    console.log(`${times} times, ${name}: ${said(await storm(way, times))}`);
  }
}

async function storm(way: Way | null, times: number): Promise<Outcome> {
  const surroundings = new Surroundings();
  try {
    const clients = new Clients(await place(surroundings, way), ROUTE);
    const seconds = Number(values.seconds);
    const honest = clients.come('honest', capacity / 2, CALM_SECONDS + seconds + AFTER_SECONDS);
    await pause(CALM_SECONDS * 1_000);
    const fromMs = clients.nowMs;
    await clients.come('storm', capacity * times, seconds);
    await honest;
    const untilMs = clients.nowMs;
    await clients.allGone();
    const lastMs = Math.max(...clients.asked.filter(({ kind }) => kind === 'storm').map(({ atMs }) => atMs));
    return outcomeOf(clients.asked, { fromMs, lastMs, untilMs });
  } finally {
    await surroundings.close();
  }
}

/** Returns where clients ask. */
async function place(surroundings: Surroundings, way: Way | null): Promise<string[]> {
  const app = await surroundings.startApp('pool.mjs', { WORK_MS: String(workMs), WORKERS: String(WORKERS) });
  if (way === null) return [(await surroundings.startHop(app.port, 'storm.cfg')).address];
  const { settings, flags = [] } = way;
  const redis = await surroundings.startRedis();
  if (settings.length > 0) await surroundings.setRoute(redis, ROUTE, settings);
  const nodes = [
    await surroundings.startNode({ args: ['--redis', redis], flags }),
    await surroundings.startNode({ args: ['--redis', redis], flags }),
  ] as const;
  const both = nodes.flatMap(({ backend }) => ['--proxy', backend]);
  await surroundings.startLinker(nodes[0].backend, app.port, { route: ROUTE, concurrency: WORKERS, args: both.slice(2) });
  return nodes.map(({ address }) => address);
}

function said({ goodput, honest, share, wholeAfterMs, waitP50Ms, waitP99Ms, refused, left }: Outcome): string {
  const whole = wholeAfterMs === null ? 'never' : `after ${(wholeAfterMs / 1_000).toFixed(1)} s`;
  return [
    `goodput ${goodput.toFixed(0)}/s`,
    `honest ${honest.toFixed(1)}/s of a share of ${share.toFixed(1)}/s`,
    `whole ${whole}`,
    `wait p50 ${waitP50Ms.toFixed(0)} p99 ${waitP99Ms.toFixed(0)} ms`,
    `refused ${refused}, left ${left}`,
  ].join(', ');
}
