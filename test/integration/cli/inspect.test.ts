/** `inspect` as a user runs it, over a real Redis and a Redis Cluster. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, setRoute, startNode, state } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { runCommand } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';
import { type RedisGroup, startRedisCluster } from '../../support/redis-processes.ts';

const ROUTE = 'app.example.com';

interface Report {
  readonly keys: readonly { readonly key: string; readonly type: string; readonly what: string | null }[];
  readonly troubles: readonly { readonly code: string; readonly text: string }[];
  readonly findings: readonly { readonly severity: string; readonly key: string; readonly what: string }[];
}

describe('over a Redis', () => {
  let redis: RedisServer;
  let client: Redis;
  let node: ClusterNode;
  const inspect = (...args: string[]) => runCommand(['inspect', ...args], { env: { PULLPROXY_REDIS: redis.url } });
  const findings = async (): Promise<Report['findings']> => (JSON.parse((await inspect('--json')).stdout) as Report).findings;

  beforeAll(async () => {
    redis = await startRedis();
    client = new Redis(redis.url);
    await setRoute(redis.url, ROUTE, 'holdTimeout=5m');
    node = await startNode(redis.url, ['--id', 'n1']);
    // Nobody starts anything: the client stays held.
    ask(node.url, { host: ROUTE }).catch(() => undefined);
    await eventually('held', async () => (await state(node)).routes[0]?.held === 1);
  });
  afterAll(async () => {
    client?.disconnect();
    node?.kill('SIGKILL');
    await redis?.stop();
  });
  afterEach(async () => void (await client.del('{pp-bull}:startup:de:gone.example.com')));

  test('a living cluster contradicts itself nowhere, and each of its keys is explained', async () => {
    const { code, stdout } = await inspect();
    expect([code, stdout]).toEqual([0, expect.stringMatching(/Nothing contradicts itself\.\n$/)]);
    expect(stdout).toMatch(/^ {2}pp:node:n1 +hash +\d+ +in \d+ s +what the node says about itself$/m);
    expect(stdout).toMatch(/^ {2}app\.example\.com +1 +0 +0 +0 +0 +1$/m);
    const report = JSON.parse((await inspect('--json')).stdout) as Report;
    expect(report.keys.length).toBeGreaterThan(8);
    expect(report.keys.filter(({ what }) => what === null)).toEqual([]);
    // What status says is wrong is said here, too: a client waits, and no scaler is there.
    expect(report.troubles.map(({ code }) => code)).toContain('no_scaler');
    expect(stdout).toContain('there is no scaler to start an instance');
  });

  test('one route is shown in full', async () => {
    const { code, stdout } = await inspect(ROUTE);
    expect(code).toBe(0);
    expect(stdout).toContain('app.example.com: settings {"holdTimeout":"5m"}');
    expect(stdout).toMatch(/pp:\{app\.example\.com\}:held {2}zset of 1, in \d+ s\n {2}clients that wait.*\n {4}n1:\S+ {2}[\d.]+ \w+ ago\n/);
    expect((await inspect('nobody.example.com')).stdout).toContain('nobody.example.com: it has no settings');
  });

  test('what keeps instances from being started is found, with the command that mends it', async () => {
    await client.set('{pp-bull}:startup:de:gone.example.com', '4711');
    const { code, stdout } = await inspect();
    expect(code).toBe(1);
    expect(stdout).toContain('orders for gone.example.com are merged with job 4711, which does not exist: nothing is started for it');
    expect(stdout).toContain("redis-cli del '{pp-bull}:startup:de:gone.example.com'");
  });

  test('what the next beat mends is no finding; what nobody mends is one', async () => {
    await client.hset(`pp:{${ROUTE}}:holders`, 'n1', 7);
    await client.hset(`pp:{${ROUTE}}:free`, 'n1', 9);
    await client.hset('pp:routes', 'bad.example.com', '{"maxHeld":"many"}');
    expect(await findings()).toEqual([
      expect.objectContaining({
        severity: 'broken',
        key: 'pp:routes',
        what: expect.stringContaining('the settings of bad.example.com are invalid'),
      }),
    ]);
    await client.hdel('pp:routes', 'bad.example.com');
  });

  test('a bad name and a Redis that is not there are said', async () => {
    expect(await inspect('a b')).toMatchObject({ code: 2, stderr: expect.stringContaining('inspect "a b": expected a host name') });
    const { code, stderr } = await inspect('--redis', 'redis://127.0.0.1:1');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^pullproxy: Redis does not answer at redis:\/\/127\.0\.0\.1:1 .*\n {2}Is it running, .* redis-cli -h 127\.0\.0\.1 -p 1 ping\n$/,
    );
  });
});

describe('over a Redis Cluster', () => {
  let group: RedisGroup;
  beforeAll(async () => {
    group = await startRedisCluster(3);
  });
  afterAll(() => group?.stop());

  test('the keys of all masters are seen', async () => {
    const node = await startNode(group.url, ['--id', 'n1']);
    for (let i = 0; i < 8; i++) await setRoute(group.url, `r${i}.example.com`, 'holdTimeout=5m');
    const waiting = Array.from({ length: 8 }, (_, i) => ask(node.url, { host: `r${i}.example.com` }).catch(() => undefined));
    await eventually('held', async () => (await state(node)).nodes[0]?.held === 8);
    const { code, stdout } = await runCommand(['inspect', '--redis', group.url]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/Nothing contradicts itself\.\n$/)]);
    for (let i = 0; i < 8; i++) expect(stdout).toMatch(new RegExp(`^ {2}r${i}\\.example\\.com +1 +0 +0 +0 +0 +1$`, 'm'));
    node.kill('SIGKILL');
    await Promise.all(waiting);
  });
});
