/** `doctor` as a user runs it: over a real Redis, real nodes, real files and ports. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { Check } from '../../../src/cli/doctor/check.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { ownDirectory, runCommand, startProcess } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

async function doctor(...args: string[]) {
  const { code, stdout } = await runCommand(['doctor', '--json', ...args]);
  const checks = JSON.parse(stdout) as Check[];
  const said = (state: Check['state']): string[] => checks.filter((one) => one.state === state).map(({ text }) => text);
  return { code, checks, said };
}

describe('doctor', () => {
  test('reaches Redis and the nodes in it, and leaves nothing there', async () => {
    const node = await startProcess(
      [
        'node',
        '--id',
        'near',
        '--listen',
        'http://127.0.0.1:0',
        '--backend',
        '127.0.0.1:0',
        '--admin',
        '127.0.0.1:0',
        '--redis',
        redis.url,
      ],
      { env: { PULLPROXY_SECRET: 'a secret that is long enough' } },
    );
    const far = ['--advertise', '127.0.0.1:1'];
    const lost = await startProcess(
      [
        'node',
        '--id',
        'far',
        '--listen',
        'http://127.0.0.1:0',
        '--backend',
        '127.0.0.1:0',
        '--admin',
        '127.0.0.1:0',
        '--redis',
        redis.url,
        ...far,
      ],
      { env: { PULLPROXY_SECRET: 'a secret that is long enough' } },
    );
    const { code, said } = await doctor('--redis', redis.url);
    expect(code).toBe(1);
    expect(said('error')).toEqual(['node far is not reached from here at 127.0.0.1:1: ECONNREFUSED']);
    expect(said('warning')).toContain('Redis persists nothing');
    expect(said('ok')).toEqual(
      expect.arrayContaining([
        `node near is reached at ${String(node.ready.backend)}`,
        'pullproxy has the rights that it needs',
        'the clocks agree',
      ]),
    );
    const client = new Redis(redis.url);
    expect(await client.keys('*doctor*')).toEqual([]);
    client.disconnect();
    await Promise.all([node.stop(), lost.stop()]);
  });

  test('names the rights that are missing', async () => {
    const client = new Redis(redis.url);
    await client.call('acl', 'setuser', 'weak', 'on', '>pass', '~pp:*', '+@all', '-publish', '&*');
    client.disconnect();
    const { code, said } = await doctor('--redis', redis.url.replace('//', '//weak:pass@'));
    expect(code).toBe(1);
    const [refused = ''] = said('error');
    expect(refused).toContain('set {pp-bull}:doctor (NOPERM');
    expect(refused).toContain('publish pp:doctor (NOPERM');
    expect(refused).not.toContain('set pp:{pp:doctor}');
  });

  test('without Redis: an error in words, and what to do', async () => {
    const { code, stdout } = await runCommand(['doctor', '--redis', 'redis://:secret@127.0.0.1:1']);
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/^error +redis +Redis does not respond at .*\n +Is it running, and is this its address\?/m),
    ]);
    expect(stdout).not.toContain('secret');
  });

  test('reads a configuration of a node: its keys, certificates and ports', async () => {
    const [directory, certificate, other] = [ownDirectory(), makeCertificate('app.test'), makeCertificate('other.test')];
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const path = join(directory, 'node.yaml');
    const write = (more: string): void =>
      writeFileSync(path, `listen: https://127.0.0.1:${port}\nbackend: 127.0.0.1:0\nadmin: 127.0.0.1:0\n${more}`);
    write(`tlsCert: ${certificate.certFile}\ntlsKey: ${certificate.keyFile}\n`);
    const good = await doctor('--config', path);
    expect([good.code, good.said('error')]).toEqual([3, []]);
    expect(good.said('warning')).toEqual(
      expect.arrayContaining([`127.0.0.1:${port} is in use`, expect.stringMatching(/cert\.pem expires in 1 days/)]),
    );
    expect(good.said('ok')).toContain('the configuration names no Redis: the node runs alone');
    write(`tlsCert: ${certificate.certFile}\ntlsKey: ${other.keyFile}\n`);
    expect((await doctor('--config', path)).said('error')).toEqual([
      expect.stringContaining('expected certificates, each with its own key'),
    ]);
    write('wokers: 3\n');
    const bad = await doctor('--config', path);
    expect([bad.code, bad.said('error')]).toEqual([1, expect.arrayContaining([expect.stringContaining('wokers')])]);
    taken.close();
    for (const one of [certificate, other]) one.remove();
  });
});
