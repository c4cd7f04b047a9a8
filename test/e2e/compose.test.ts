/** docker-compose.yml as it stands: image, nodes, Redis, scaler and example application play together. */
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { crowd, statuses } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODES = ['http://127.0.0.1:8081', 'http://127.0.0.1:8082'];
const ADMIN_PORTS = [9091, 9092];
/** As docker-compose.yml says: instances of two slots each. */
const INSTANCES_MAX = 4;
const BUILD_TIMEOUT_MS = 600_000;

const docker = spawnSync('docker', ['info']).status === 0;
if (!docker && process.env.CI === 'true') throw new Error('the tests need Docker, which does not answer');

(docker ? describe : describe.skip)('docker compose up', () => {
  beforeAll(() => compose('up', '--detach', '--build'), BUILD_TIMEOUT_MS);
  afterAll(() => compose('down', '--volumes', '--remove-orphans', '--timeout', '10'), BUILD_TIMEOUT_MS);

  test.each(NODES)('brings an application to a client of %s', async (node) => {
    // The route is set once Redis is up: until then its name is unknown.
    await eventually('the route is known', async () => (await fetch(node)).status === 200, 60_000);
  });

  test('shows the same cluster at both nodes', async () => {
    const states = await Promise.all(ADMIN_PORTS.map(state));
    for (const { nodes } of states) expect(nodes.map(({ id }) => id).sort()).toEqual(['node-1', 'node-2']);
  });

  test('a burst makes instances appear, none of its clients is lost, and they leave again', async () => {
    const burst = crowd(120, (i) => NODES[i % NODES.length] as string, { host: 'app.example.com', path: '/work' });
    await eventually('all that may be are there', async () => (await instances()) === INSTANCES_MAX, 60_000);
    expect(statuses(await burst)).toEqual({ '200': 120 });
    await eventually('all but the newest have left', async () => (await instances()) === 1, 90_000);
  });

  test('a node that is killed is missed by the other, which goes on', async () => {
    await compose('kill', 'node-1');
    await eventually('it is known', async () => (await state(9092)).nodes.map(({ id }) => id).join() === 'node-2', 30_000);
    const answers = await crowd(8, () => NODES[1] as string, { host: 'app.example.com', path: '/work' });
    expect(statuses(answers)).toEqual({ '200': 8 });
  });
});

interface State {
  readonly nodes: readonly { readonly id: string }[];
  readonly routes: readonly { readonly instances: readonly { readonly state: string }[] }[];
}

async function state(adminPort: number): Promise<State> {
  return (await (await fetch(`http://127.0.0.1:${adminPort}/api/v1/state`)).json()) as State;
}

async function instances(): Promise<number> {
  return (await state(9092)).routes.reduce((sum, route) => sum + route.instances.length, 0);
}

async function compose(...args: string[]): Promise<void> {
  const [program, ...first] = spawnSync('docker', ['compose', 'version']).status === 0 ? ['docker', 'compose'] : ['docker-compose'];
  if (program === undefined) return;
  const command = [...first, '--project-name', 'pullproxy-test', ...args];
  await promisify(execFile)(program, command, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 }).catch((error: Error & { stdout: string }) => {
    throw new Error(`${error.message}\n${error.stdout.slice(-4000)}`);
  });
}
