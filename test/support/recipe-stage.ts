/**
 * Where recipes are tried: one Redis and one node for a test file, and for each test a route, a directory with the linkers' settings and a PATH, and
 * a scaler that runs the recipe. And the story that each scheduler has to play.
 */
import { appendFileSync, chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest } from '@jest/globals';
import { ask } from './clients.ts';
import { type ClusterNode, SECRET, setRoute, startNode, state } from './cluster.ts';
import { eventually } from './eventually.ts';
import { ownDirectory, type Running, startProcess } from './processes.ts';
import { MAIN } from './program-path.ts';
import { type RedisServer, startRedis } from './redis.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const RECIPES = join(ROOT, 'deploy/recipes');
export const DEMO = ['node', join(ROOT, 'deploy/examples/demo-app.mjs')];
/** So many instances, of two slots each. */
export const INSTANCES_MAX = 3;
const CLIENTS = 12;
const IDLE_MS = 2_000;
/** Machines that run tests may be slow. */
const PATIENCE_MS = 180_000;
/** A test of several such waits. */
const TEST_TIMEOUT_MS = 600_000;

const SETTINGS = { SECRET, CONCURRENCY: '2', IDLE_TIMEOUT: `${IDLE_MS}ms`, OLD_IDLE_TIMEOUT: `${IDLE_MS}ms` };

export interface RecipeStage {
  readonly redis: RedisServer;
  readonly node: ClusterNode;
  /** The route of the test that runs. */
  readonly route: string;
  readonly folder: string;
  /** The linkers' settings, one PULLPROXY_NAME=value a line. */
  readonly envFile: string;
  /** The same as a linker's --config. */
  readonly configFile: string;
  readonly scaler: Running;
  /** The PATH of a startup command. */
  readonly path: string;
  /** A program that the recipe finds in its PATH. */
  program(name: string, script: string): void;
  startScaler(command: readonly string[], env?: Readonly<Record<string, string>>, flags?: readonly string[]): Promise<void>;
  set(...settings: readonly string[]): Promise<void>;
  instances(): Promise<number>;
}

/** Registers the hooks of a test file. */
export function recipeStage(): RecipeStage {
  jest.setTimeout(TEST_TIMEOUT_MS);
  let redis: RedisServer;
  let node: ClusterNode;
  let scaler: Running | null = null;
  let route = '';
  let folder = '';
  let routes = 0;
  const path = (): string => `${join(folder, 'bin')}:${process.env.PATH}`;

  const stage: RecipeStage = {
    get redis() {
      return redis;
    },
    get node() {
      return node;
    },
    get route() {
      return route;
    },
    get folder() {
      return folder;
    },
    get envFile() {
      return join(folder, 'app.env');
    },
    get configFile() {
      return join(folder, 'app.yaml');
    },
    get scaler() {
      if (scaler === null) throw new Error('no scaler was started');
      return scaler;
    },
    get path() {
      return path();
    },
    program(name, script) {
      writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`);
      chmodSync(join(folder, 'bin', name), 0o755);
    },
    async startScaler(command, env = {}, flags = []) {
      const all = { PULLPROXY_ENV: stage.envFile, ...env };
      const given = Object.keys(all).flatMap((name) => ['--command-env', name]);
      scaler = await startProcess(['scaler', '--redis', redis.url, ...given, ...flags, '--', ...command], {
        env: { ...all, PATH: path() },
      });
    },
    set: (...settings) => setRoute(redis.url, route, ...settings),
    instances: async () => (await state(node)).routes.find(({ name }) => name === route)?.instances.length ?? 0,
  };

  beforeAll(async () => {
    redis = await startRedis();
    node = await startNode(redis.url, ['--id', 'a']);
  });
  afterAll(async () => {
    await redis?.stop();
  });
  beforeEach(async () => {
    route = `recipe${++routes}.example.com`;
    await stage.set(`maxInstances=${INSTANCES_MAX}`, 'holdTimeout=3m', 'startTimeout=3m');
    folder = ownDirectory();
    symlinkSync(join(ROOT, 'deploy'), join(folder, 'deploy'));
    mkdirSync(join(folder, 'bin'));
    stage.program('pullproxy', `exec "${process.execPath}" "${MAIN}" "$@"`);
    symlinkSync(process.execPath, join(folder, 'bin/node'));
    const settings = Object.entries({ PROXY: node.backend, ...SETTINGS });
    writeFileSync(stage.envFile, settings.map(([name, value]) => `PULLPROXY_${name}=${value}\n`).join(''));
    const keys = settings.map(([name, value]) => `${name.toLowerCase().replaceAll('_', '-')}: ${JSON.stringify(value)}\n`);
    writeFileSync(stage.configFile, keys.join(''), { mode: 0o600 });
  });
  afterEach(async () => {
    await scaler?.stop();
    scaler = null;
    rmSync(folder, { recursive: true, force: true });
  });
  return stage;
}

export interface Scene {
  readonly scheduler: string;
  readonly node: Pick<ClusterNode, 'url' | 'admin'>;
  readonly route: string;
  /** How many instances the scheduler knows of, in whatever state. */
  readonly left: () => number | Promise<number>;
}

/**
 * From nothing to one instance by one client, to all by a crowd, and back to nothing, in pullproxy and at the scheduler. Each client gets its answer.
 * With PULLPROXY_FIGURES=FILE the times are written there, in milliseconds; the way back is without the idle time.
 */
export async function playStory({ scheduler, node, route, left }: Scene): Promise<void> {
  const instances = async (): Promise<readonly { readonly state: string }[]> =>
    (await state(node as ClusterNode)).routes.find(({ name }) => name === route)?.instances ?? [];
  expect(await left()).toBe(0);
  const begun = performance.now();
  const { status, body } = await ask(node.url, { host: route });
  const cold = performance.now() - begun;
  expect([status, body.includes('Hello from instance')]).toEqual([200, true]);

  const wanted = performance.now();
  let isSeen = false;
  const seen = new Set<number>();
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!isSeen) seen.add((await ask(node.url, { host: route, path: '/work' })).status);
  });
  let up = 0;
  try {
    const isFull = async (): Promise<boolean> => (await instances()).filter((one) => one.state === 'ready').length === INSTANCES_MAX;
    await eventually(`${INSTANCES_MAX} instances are ready`, isFull, PATIENCE_MS);
    up = performance.now() - wanted;
    expect(await left()).toBe(INSTANCES_MAX);
  } finally {
    isSeen = true;
  }
  await Promise.all(clients);
  expect([...seen]).toEqual([200]);

  const idle = performance.now();
  await eventually('all have left', async () => (await instances()).length === 0 && (await left()) === 0, PATIENCE_MS);
  const down = performance.now() - idle - IDLE_MS;
  const { PULLPROXY_FIGURES } = process.env;
  const figures = { scheduler, coldMs: Math.round(cold), upMs: Math.round(up), downMs: Math.round(down) };
  if (PULLPROXY_FIGURES) appendFileSync(PULLPROXY_FIGURES, `${JSON.stringify(figures)}\n`);
}

/** The applications of starts that fail. */
export const FAILING = {
  'ends at once': ['node', '--eval', 'process.exit(3)'],
  'never listens': ['node', '--eval', 'setInterval(() => {}, 1e9)'],
} as const;

/** Starts that fail: the client hears of it, and when nobody wants an instance any more the scheduler has nothing left. */
export async function playFailure(stage: RecipeStage, start: () => Promise<void>, left: () => number | Promise<number>): Promise<void> {
  await stage.set('maxInstances=1', 'holdTimeout=1s', 'startTimeout=5s');
  appendFileSync(stage.envFile, 'PULLPROXY_START_TIMEOUT=5s\n');
  appendFileSync(stage.configFile, 'start-timeout: 5s\n');
  await start();
  const answered = ask(stage.node.url, { host: stage.route });
  await eventually('it is there', async () => (await left()) === 1, PATIENCE_MS);
  expect((await answered).status).toBe(503);
  await stage.scaler.logged(({ msg }) => msg === 'cancel command finished', PATIENCE_MS);
  // Its startup commands end with this: no further start begins.
  await stage.set('maxInstances=0');
  await eventually('nothing is left', async () => (await left()) === 0, PATIENCE_MS);
}
