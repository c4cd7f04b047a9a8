/** The examples of applications that say how much they take. The one in Go is run where `go` is on the path. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { ask } from '../../support/clients.ts';
import { startLinker, startNode, state } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory } from '../../support/processes.ts';

const example = (name: string): string => fileURLToPath(new URL(`../../../deploy/examples/limits/${name}`, import.meta.url));
const ROUTE = 'limits.example.com';

async function limitOf(app: readonly string[], expected: object, asks = false): Promise<void> {
  const node = await startNode(null);
  const linker = await startLinker({ proxies: [node.backend], route: ROUTE, concurrency: 10, app });
  const answer = asks ? await ask(node.url, { host: ROUTE }) : null;
  if (answer !== null) expect(answer).toMatchObject({ status: 200, body: 'ok\n' });
  expect(answer?.headers ?? {}).not.toHaveProperty('pullproxy-concurrency');
  await eventually('the node knows the limit', async () => {
    const [instance] = (await state(node)).routes.flatMap(({ instances }) => instances);
    expect(instance).toMatchObject(expected);
    return true;
  });
  await linker.stop();
  await node.stop();
}

test('Node: by its responses', () => limitOf([process.execPath, example('app.mjs')], { concurrency: 20, setBy: 'header' }, true));

test('Python: at its control socket', () => limitOf(['python3', example('app.py')], { concurrency: 4, setBy: 'control' }));

test('a shell script: at the control socket', () => {
  const server = 'const s = require("node:http").createServer((q, r) => r.end()).listen(Number(process.env.PORT), "127.0.0.1");';
  return limitOf(['sh', '-c', `${example('take.sh')} 7; exec node -e '${server}'`], { concurrency: 7, setBy: 'control' });
});

test('a shell script: its syntax', () => {
  expect(spawnSync('sh', ['-n', example('take.sh')]).status).toBe(0);
});

const GO = spawnSync('go', ['version'], { encoding: 'utf8' });

test(`Go: by its answers${GO.status === 0 ? '' : ' (only its text: go is not on the path)'}`, async () => {
  expect(readFileSync(example('app.go'), 'utf8')).toContain('"Pullproxy-Concurrency"');
  if (GO.status !== 0) return;
  const directory = ownDirectory();
  const binary = join(directory, 'app');
  const env = { ...process.env, GOCACHE: join(directory, 'cache'), GOFLAGS: '-mod=mod', GO111MODULE: 'off' };
  const built = spawnSync('go', ['build', '-o', binary, example('app.go')], { env, encoding: 'utf8' });
  expect(built).toMatchObject({ status: 0, stderr: '' });
  await limitOf([binary], { concurrency: 2 * availableParallelism(), setBy: 'header' }, true);
});
