/** docker-compose.yml as it stands: image, nodes, Redis, scaler and example application play together. */
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODES = ['http://127.0.0.1:8081', 'http://127.0.0.1:8082'];
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
    const states = await Promise.all([9091, 9092].map(async (port) => (await fetch(`http://127.0.0.1:${port}/api/v1/state`)).json()));
    for (const state of states as { nodes: { id: string }[] }[]) {
      expect(state.nodes.map(({ id }) => id).sort()).toEqual(['node-1', 'node-2']);
    }
  });
});

async function compose(...args: string[]): Promise<void> {
  const [program, ...first] = spawnSync('docker', ['compose', 'version']).status === 0 ? ['docker', 'compose'] : ['docker-compose'];
  if (program === undefined) return;
  const command = [...first, '--project-name', 'pullproxy-test', ...args];
  await promisify(execFile)(program, command, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 }).catch((error: Error & { stdout: string }) => {
    throw new Error(`${error.message}\n${error.stdout.slice(-4000)}`);
  });
}
