/** File descriptors: some are kept back for the linker itself, and whoever runs out of them is not said to be the application. */
import { spawn } from 'node:child_process';
import { afterEach, expect, test } from '@jest/globals';
import { LinkTroubles } from '../../../src/linker/link-troubles.ts';
import { affordableSlots, openFilesLimit, outOfFilesWords } from '../../../src/linker/open-files.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, FakeNode, SECRET } from '../../support/harness/fake-node.ts';
import { ownDirectory } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';

afterEach(() => closeFakeNodes());

test.each([
  [10, null, 10],
  [10, 1_024, 10],
  [5_000, 1_024, 896],
  [100, 64, 24],
  [10, 20, 1],
  [1_000_000, 1_048_576, 1_000_000],
])('%p slots with a limit of %p open files: %p', (concurrency, limit, affordable) => {
  expect(affordableSlots(concurrency, limit)).toBe(affordable);
});

test('the limit is known, and what runs out is said', () => {
  expect(openFilesLimit()).toBeGreaterThan(0);
  expect(outOfFilesWords('EMFILE')).toContain(`now ${openFilesLimit()}`);
  expect(outOfFilesWords('ENFILE')).toContain('this machine');
  expect(outOfFilesWords('ECONNREFUSED')).toBeNull();
  const said: unknown[] = [];
  const troubles = new LinkTroubles({ warn: (facts: unknown) => said.push(facts) } as never);
  troubles.failed('node:9080', new Error('connect EMFILE 10.0.0.1:9080 - Local (undefined:undefined)'));
  expect(said).toMatchObject([{ reason: expect.stringContaining('this process is out of file descriptors') }]);
});

test('a linker with a low limit lends as many slots as it has files for, says so, and serves them all at once', async () => {
  const node = await FakeNode.start();
  const app = `require('node:http').createServer((q, r) => setTimeout(() => r.end('ok'), 300)).listen(process.env.PORT, '127.0.0.1')`;
  const args = [
    'linker',
    '--proxy',
    `127.0.0.1:${node.address.port}`,
    '--route',
    'app.example.com',
    '--concurrency',
    '100',
    '--',
    process.execPath,
    '-e',
    app,
  ];
  const linker = spawn('sh', ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, MAIN, ...args], {
    cwd: ownDirectory(),
    env: { PATH: process.env.PATH, PULLPROXY_SECRET: SECRET },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const pipe of [linker.stdout, linker.stderr]) pipe.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise((resolve) => linker.once('exit', resolve));
  try {
    const instance = await node.instance();
    await eventually('it says so', () => text.includes('the linker lends fewer slots than --concurrency says'));
    expect(instance.hello.concurrency).toBe(24);
    await instance.idle(24);
    const visits = await Promise.all(Array.from({ length: 24 }, () => instance.get()));
    expect(visits.every(({ isAnswered }) => isAnswered)).toBe(true);
    expect(text).not.toContain('does not accept');
    expect(text).not.toContain('EMFILE');
  } finally {
    linker.kill('SIGTERM');
    await ended;
  }
});
