/** A fault at the boundaries towards Redis: with a real one, two nodes, and a scaler. It drops the one answer, message or job. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { RedisDirectory } from '../../../src/cluster/redis/directory.ts';
import { createRedisCluster, createRedisDirectory } from '../../../src/cluster/redis/open.ts';
import { createLog } from '../../../src/log.ts';
import { ClusterEvents } from '../../../src/node/cluster-events.ts';
import { Scaler } from '../../../src/scaling/scaler.ts';
import { StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { faultOnce, mendFaults } from '../../support/faults.ts';
import { closeEverything, type LoneNode, startLoneNode } from '../../support/harness/lone-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { ok, ScriptedApp } from '../../support/harness/scripted-app.ts';
import { expectInternalErrors, newInternalErrors } from '../../support/internal-errors.ts';
import { connectClient } from '../../support/raw-client.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const log = createLog('test', 'silent');
let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  mendFaults();
  await endLinkers();
  await closeEverything();
});
afterAll(() => redis.stop());

function startNode(id: string): Promise<LoneNode> {
  return startLoneNode({
    id,
    cluster: (address) => createRedisCluster({ self: { id, address }, version: 'test', log, url: redis.url }).cluster,
  });
}

/** A client at a node that has no slot, of an application whose linker is at another: it is served by a handoff. */
async function handedOff(inject: () => void): Promise<number> {
  const app = await ScriptedApp.serving(() => ok('fine'));
  const [here, there] = await Promise.all([startNode('here'), startNode('there')]);
  const proxies = [{ host: '127.0.0.1', port: there.backendPort }];
  const { linker } = new RunningLinker({
    proxies,
    route: 'app.test',
    concurrency: 2,
    secret: 's',
    app: { host: '127.0.0.1', port: app.port },
  });
  await linker.ready;
  await here.node.cluster.setRoute('app.test', {});
  await eventually('both know the route', () =>
    [here, there].every(({ node }) => node.routes.get('app.test')?.standing.configured === true),
  );
  inject();
  const client = await connectClient(here.port);
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
  return (await client.response()).status;
}

test('a message from another node within which a fault happens is dropped, and the sweep finds the slot', async () => {
  expect(await handedOff(() => faultOnce(ClusterEvents.prototype, 'onWant'))).toBe(200);
  const found = newInternalErrors();
  // The script's answer may have found the slot before the bell did.
  expect([{ bell: 1 }, { directory: 1 }]).toContainEqual(found);
  expectInternalErrors(found);
});

test('a response of a script that can not be followed is dropped, and the next one is', async () => {
  const { hold } = RedisDirectory.prototype;
  let answers = 0;
  RedisDirectory.prototype.hold = async function (...args) {
    const answer = await hold.apply(this, args);
    // Whatever Redis says: `moves` is no list.
    return ++answers === 1 ? ({ ...answer, moves: 7 } as never) : answer;
  };
  try {
    expect(await handedOff(() => {})).toBe(200);
    expect(newInternalErrors()).toEqual({ directory: 1 });
    expectInternalErrors({ directory: 1 });
  } finally {
    RedisDirectory.prototype.hold = hold;
  }
});

test('a job within which a fault happens fails, is counted, and is tried again', async () => {
  const directory = createRedisDirectory({ url: redis.url, log });
  const seen = createRedisDirectory({ url: redis.url, log });
  const queue = new StartupQueue({ redisUrl: redis.url, directory, log });
  const command = [process.execPath, '-e', ''];
  const options = {
    command,
    rate: { count: 100, durationMs: 1_000 },
    parallel: 2,
    commandTimeoutMs: 10_000,
    environment: { PATH: process.env.PATH ?? '' },
  };
  const scaler = new Scaler({ redisUrl: redis.url, directory: seen, log, ...options });
  try {
    await directory.ready(5_000);
    await directory.setRoute('jobs.test', { maxInstances: 1 });
    faultOnce(seen, 'route');
    await scaler.start();
    queue.request('jobs.test', 1);
    await eventually(
      'the command has run',
      () => scaler.stats().commands.some(({ route, result }) => route === 'jobs.test' && result === 'ok'),
      20_000,
    );
    expect(Object.keys(newInternalErrors())).toEqual(['job']);
    expectInternalErrors(newInternalErrors());
  } finally {
    await scaler.close();
    await queue.close();
    await directory.close();
    await seen.close();
  }
});
