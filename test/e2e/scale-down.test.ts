/**
 * Instances leave while traffic comes and goes at random, never below the minimum, and no stream is cut. Twenty seconds of it;
 * SCALE_DOWN_SECONDS=300 makes it five minutes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask } from '../support/clients.ts';
import { type ClusterNode, Ledger, setRoute, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const ROUTE = 'app.example.com';
const MINIMUM = 2;
const SECONDS = Number(process.env.SCALE_DOWN_SECONDS ?? 20);
const SEED = Number(process.env.SCALE_DOWN_SEED ?? Date.now() % 1_000_000);

let redis: RedisServer;
let nodes: ClusterNode[];
const ledger = new Ledger();

beforeAll(async () => {
  redis = await startRedis();
  await setRoute(redis.url, ROUTE, `minInstances=${MINIMUM}`, 'maxInstances=8', 'concurrency=2');
  nodes = await Promise.all(['a', 'b', 'c'].map((id) => startNode(redis.url, ['--id', id])));
  const args = ['--idle-timeout', '700ms', '--old-idle-timeout', '300ms'];
  await startScaler(redis.url, { proxies: nodes.map(({ backend }) => backend), concurrency: 2, app: COUNTING_APP, args }, ledger);
});

afterAll(async () => {
  await redis?.stop();
  ledger.remove();
});

/** mulberry32: what went wrong once can be played again. */
function randomFrom(seed: number): () => number {
  let at = seed;
  return () => {
    at = (at + 0x6d2b79f5) | 0;
    let mixed = Math.imul(at ^ (at >>> 15), 1 | at);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

async function ready(): Promise<number> {
  const route = (await state(nodes[0] as ClusterNode)).routes.find(({ name }) => name === ROUTE);
  return route?.instances.filter((one) => one.state === 'ready').length ?? 0;
}

test(
  `${SECONDS} s of random traffic: never fewer than ${MINIMUM} instances, every stream is whole`,
  async () => {
    await eventually('the minimum is there without traffic', async () => (await ready()) === MINIMUM, 30_000);
    const random = randomFrom(SEED);
    const wrong: string[] = [];
    const open = new Set<Promise<void>>();
    let [fewest, most, streams] = [Number.POSITIVE_INFINITY, 0, 0];
    const send = (): void => {
      const node = (nodes[Math.floor(random() * nodes.length)] as ClusterNode).url;
      const events = 1 + Math.floor(random() * 12);
      const stream = ask(node, { host: ROUTE, path: `/sse?n=${events}&ms=${20 + Math.floor(random() * 80)}` })
        .then(
          ({ status, body }) => {
            if (status !== 200 || !body.endsWith(`data: ${events}\n\n`)) wrong.push(`${status} ${body.slice(-40)}`);
          },
          (error: Error) => void wrong.push(error.message),
        )
        .finally(() => open.delete(stream));
      open.add(stream);
      streams++;
    };
    const end = performance.now() + SECONDS * 1_000;
    while (performance.now() < end) {
      // A crowd, a trickle, or silence for long enough that instances leave.
      const kind = random();
      const burst = kind < 0.4 ? 0 : kind < 0.8 ? Math.ceil(random() * 3) : Math.ceil(random() * 14);
      for (let n = 0; n < burst; n++) send();
      const pauseUntil = performance.now() + random() * 700;
      do {
        const now = await ready();
        [fewest, most] = [Math.min(fewest, now), Math.max(most, now)];
        await delay(25);
      } while (performance.now() < pauseUntil);
    }
    await Promise.all(open);
    const facts = { seed: SEED, wrong, streams: streams > SECONDS, violations: ledger.lines(ledger.violations) };
    expect(facts).toEqual({ seed: SEED, wrong: [], streams: true, violations: [] });
    // Instances came and went all the time.
    expect([fewest, most > MINIMUM]).toEqual([MINIMUM, true]);
    expect(ledger.lines(ledger.starts).length).toBeGreaterThan(most);
    await eventually('the minimum is left', async () => (await ready()) === MINIMUM, 30_000);
  },
  SECONDS * 1_000 + 90_000,
);
