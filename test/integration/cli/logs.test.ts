/** `logs` as a user runs it: over a real Redis, with a scaler whose startup command fails. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { runCommand, startProcess } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

test('shows what the startup commands of a route wrote, and follows', async () => {
  const env = { PULLPROXY_REDIS: redis.url };
  const pullproxy = (...args: string[]) => runCommand(args, { env });
  expect(await pullproxy('logs', 'app.example.com')).toMatchObject({
    code: 0,
    stdout: '',
    stderr: expect.stringContaining('no startup command of app.example.com'),
  });
  expect((await pullproxy('logs')).code).toBe(2);
  const follower = spawn(process.execPath, [MAIN, 'logs', 'app.example.com', '--follow', '--json'], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let followed = '';
  follower.stdout.setEncoding('utf8').on('data', (text: string) => {
    followed += text;
  });
  const scaler = await startProcess(['scaler', '--', 'sh', '-c', 'printf "pulling\\033[31m\\nimage not found\\n"; exit 125'], { env });
  await pullproxy('route', 'set', 'app.example.com', 'minInstances=1');
  await eventually('the run is followed', () => followed.includes('image not found'), 30_000);
  expect(JSON.parse(followed.split('\n')[0] ?? '')).toMatchObject({ exitCode: 125, output: expect.stringContaining('pulling') });
  const { code, stdout } = await pullproxy('logs', 'app.example.com');
  expect([code, stdout]).toEqual([
    0,
    expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}\w+ {2}.*125.*\n {2}pulling\\u001b\[31m\n {2}image not found\n/),
  ]);
  follower.kill();
  await once(follower, 'exit');
  await scaler.stop();
});

test('without Redis it says what to do', async () => {
  const { code, stderr } = await runCommand(['logs', 'app.example.com', '--redis', 'redis://127.0.0.1:1']);
  expect([code, stderr]).toEqual([1, expect.stringContaining('Redis does not answer')]);
});
