/** Sentinels that have a password of their own: it can be named, and what is wrong is said. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { freePort } from '../../../src/linker/free-port.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory, runCommand } from '../../support/processes.ts';

const started: ChildProcess[] = [];
let sentinel: number;

beforeAll(async () => {
  const folder = ownDirectory();
  const master = await freePort();
  sentinel = await freePort();
  const settings = [
    `port ${sentinel}`,
    `sentinel monitor m 127.0.0.1 ${master} 1`,
    'sentinel auth-pass m of-redis',
    'requirepass of-sentinel',
  ];
  writeFileSync(join(folder, 'sentinel.conf'), settings.join('\n'));
  const run = (...args: string[]): void => void started.push(spawn('redis-server', args, { cwd: folder, stdio: 'ignore' }));
  run('--port', String(master), '--requirepass', 'of-redis', '--save', '');
  run('sentinel.conf', '--sentinel');
  const client = new Redis({ port: sentinel, password: 'of-sentinel' });
  client.on('error', () => {});
  await eventually('it knows the master', async () => (await client.call('sentinel', 'get-master-addr-by-name', 'm')) !== null);
  client.disconnect();
}, 30_000);
afterAll(() => {
  for (const one of started) one.kill('SIGKILL');
});

test.each([
  ['m?sentinel-password=of-sentinel', 'of-redis', 0, /^$/],
  ['m', 'of-redis', 1, /The Sentinels refuse the password, which is not that of Redis/],
  ['m?sentinel-password=wrong', 'of-redis', 1, /sentinel-password=\*\*\*.*The Sentinels refuse the password/s],
  ['m?sentinel-password=of-sentinel', 'wrong', 1, /Redis refuses the password/],
  ['other?sentinel-password=of-sentinel', 'of-redis', 1, /The Sentinels name no master.*No such master/],
  ['m?sentinel-pass=x', 'of-redis', 2, /redis .*expected/],
])('%s with the password %s', async (rest, password, exit, says) => {
  const { code, stderr } = await runCommand(['status', '--redis', `redis-sentinel://:${password}@127.0.0.1:${sentinel}/${rest}`]);
  expect([code, stderr]).toEqual([exit, expect.stringMatching(says)]);
  expect(stderr).not.toContain('of-');
});
