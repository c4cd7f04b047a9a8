/** Crowds that need a known number of instances: exactly so many startup commands are run, and those that fail are made up for. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type ApplicationResponse, crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, Ledger, linkerArgs, metric, SECRET, setRoute, startNode, startScaler, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Running, startProcess } from '../support/processes.ts';
import { MAIN } from '../support/program-path.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { Versions } from '../support/versions.ts';

const START_LINKER = fileURLToPath(new URL('../support/apps/start-linker.mjs', import.meta.url));
const SOMETIMES = fileURLToPath(new URL('../support/apps/sometimes.mjs', import.meta.url));
const CONCURRENCY = 750;
const CROWD = 5_000;
const SECOND_CROWD = 1_500;
const PATIENCE_MS = 240_000;

let redis: RedisServer;
let nodes: ClusterNode[];
let route: string;
let folder: string;
let ledger: Ledger;
let versions: Versions;
let ended: AbortController;
const scalers: Running[] = [];

beforeAll(async () => {
  redis = await startRedis();
  nodes = await Promise.all(['a', 'b', 'c'].map((id) => startNode(redis.url, ['--id', id, '--head-timeout', '2m'])));
});
afterAll(async () => {
  await redis?.stop();
});

let routes = 0;
beforeEach(async () => {
  route = `app${++routes}.example.com`;
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-crowd-'));
  ledger = new Ledger();
  versions = new Versions();
  ended = new AbortController();
  versions.deploy('ok');
  await setRoute(redis.url, route, 'maxInstances=30', 'maxHeld=20000', 'holdTimeout=5m', `concurrency=${CONCURRENCY}`);
});
afterEach(async () => {
  // A second attempt finds the descriptors of the first one free.
  ended.abort();
  await Promise.all(scalers.splice(0).map((scaler) => scaler.stop()));
  ledger.remove();
  versions.remove();
  rmSync(folder, { recursive: true });
});

const node = (i: number): string => (nodes[i % nodes.length] as ClusterNode).url;
const clients = (count: number): Promise<ApplicationResponse[]> => crowd(count, node, { host: route, path: '/gate', signal: ended.signal });

async function picture() {
  const found = (await state(nodes[0] as ClusterNode)).routes.find(({ name }) => name === route);
  if (found === undefined) throw new Error(`${route} is not in the picture`);
  return found;
}

/** All of them are being served at the same time: nobody is held any more. */
async function served(count: number): Promise<void> {
  await eventually(
    `${count} are served`,
    async () => {
      const active = await Promise.all(nodes.map((one) => metric(one, 'pullproxy_active', { route })));
      return active.reduce((sum, one) => sum + one) === count;
    },
    PATIENCE_MS,
  );
}

describe('five thousand held clients at three nodes', () => {
  test(
    'that need seven instances have exactly seven commands run, and 1,500 more exactly two',
    async () => {
      const linker = { proxies: nodes.map(({ backend }) => backend), concurrency: CONCURRENCY, app: versions.app };
      scalers.push(...(await Promise.all([1, 2].map(() => startScaler(redis.url, linker, ledger, ['--rate', '50/1s'])))));
      const first = clients(CROWD);
      await served(CROWD);
      expect(ledger.lines(ledger.commands)).toHaveLength(7);
      expect((await picture()).instances).toHaveLength(7);

      const second = clients(SECOND_CROWD);
      await served(CROWD + SECOND_CROWD);
      expect(ledger.lines(ledger.commands)).toHaveLength(9);
      versions.openGate();
      expect(statuses(await first)).toEqual({ 200: CROWD });
      expect(statuses(await second)).toEqual({ 200: SECOND_CROWD });
      expect(ledger.lines(ledger.commands)).toHaveLength(9);
    },
    PATIENCE_MS,
  );

  test(
    'with one start in three failing are served all the same; each command that was run is counted, and why',
    async () => {
      const env = { COMMANDS_FILE: ledger.commands, LINKER_SECRET: SECRET };
      const given = Object.keys(env).flatMap((name) => ['--command-env', name]);
      const linker = linkerArgs({
        proxies: nodes.map(({ backend }) => backend),
        route: '{route}',
        concurrency: CONCURRENCY,
        app: versions.app,
      });
      const command = [process.execPath, SOMETIMES, folder, process.execPath, START_LINKER, MAIN, ...linker];
      const scaler = await startProcess(
        ['scaler', '--redis', redis.url, '--admin', '127.0.0.1:0', '--rate', '50/1s', ...given, '--', ...command],
        { env },
      );
      scalers.push(scaler);
      const all = clients(CROWD);
      await served(CROWD);
      versions.openGate();
      expect(statuses(await all)).toEqual({ 200: CROWD });

      const failed = existsSync(`${folder}/failed`) ? readFileSync(`${folder}/failed`, 'utf8').trim().split('\n').length : 0;
      expect(ledger.lines(ledger.commands)).toHaveLength(7);
      // Seven that succeed: of the first ten commands the third, the sixth and the ninth fail. A failure in the last round is made up for in the next.
      expect(failed).toBe(3);
      const admin = { ...(nodes[0] as ClusterNode), admin: `http://${String(scaler.ready.admin)}` };
      expect(await metric(admin, 'pullproxy_startup_commands_total', { route, result: 'ok' })).toBe(7);
      expect(await metric(admin, 'pullproxy_startup_commands_total', { route, result: 'failed' })).toBe(failed);
      expect(scaler.logs.filter(({ output }) => output === 'no capacity left')).toHaveLength(failed);
    },
    PATIENCE_MS,
  );
});
