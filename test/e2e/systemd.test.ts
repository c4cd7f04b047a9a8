/** The units under deploy/systemd: without faults for systemd itself, and run by a real one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort } from '../../src/linker/free-port.ts';
import { ask } from '../support/clients.ts';
import { SECRET, setRoute } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { hasSystemd, SystemdMachine } from '../support/systemd-machine.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy', import.meta.url));
const read = (path: string): string => readFileSync(join(DEPLOY, path), 'utf8');
const UNITS = readdirSync(join(DEPLOY, 'systemd')).map((name) => ({ name, content: read(`systemd/${name}`) }));
const TEMPLATE = { name: 'pullproxy-app@.service', content: read('recipes/systemd/pullproxy-app@.service') };
const ROUTE = 'app.example.com';

if (!hasSystemd && process.env.CI === 'true') throw new Error('the tests need Docker and systemd');

(hasSystemd ? test.each([...UNITS, TEMPLATE]) : test.skip.each([...UNITS, TEMPLATE]))(
  '$name has no faults for systemd',
  ({ name, content }) => {
    expect(verify(name, content)).toBe('');
    expect(verify(name, content.replace('Restart=', 'Restarts='))).toMatch(/Unknown key (name )?'Restarts'/);
  },
);

/** What `systemd-analyze verify` says of a unit. */
function verify(name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'pullproxy-units-'));
  try {
    const file = join(folder, name.replace('@.', '@x.'));
    writeFileSync(file, content);
    return spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' }).stderr;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

(hasSystemd ? describe : describe.skip)('a machine with a node, a scaler and an application as units', () => {
  let redis: RedisServer;
  let machine: SystemdMachine;
  let url: string;
  let admin: string;

  beforeAll(async () => {
    redis = await startRedis();
    await setRoute(redis.url, ROUTE, 'maxInstances=1', 'holdTimeout=1m');
    const [listen, backend, adminPort] = [await freePort(), await freePort(), await freePort()];
    url = `http://127.0.0.1:${listen}`;
    admin = `http://127.0.0.1:${adminPort}`;
    const path = 'PATH=/opt/bin:/opt/pullproxy/node_modules/node/bin:/usr/bin:/bin\n';
    const common = `${path}PULLPROXY_REDIS=${redis.url}\n`;
    machine = await SystemdMachine.boot({
      ...Object.fromEntries([...UNITS, TEMPLATE].map(({ name, content }) => [`/etc/systemd/system/${name}`, content])),
      // There is no polkit in there to ask.
      '/etc/systemd/system/pullproxy-scaler.service.d/root.conf': '[Service]\nDynamicUser=no\nUser=root\n',
      '/etc/pullproxy/node.env': `${common}PULLPROXY_LISTEN=${url}\nPULLPROXY_BACKEND=127.0.0.1:${backend}\nPULLPROXY_ADMIN=127.0.0.1:${adminPort}\nPULLPROXY_SECRET=${SECRET}\n`,
      '/etc/pullproxy/scaler.env': common,
      '/etc/pullproxy/app.env': `${path}PULLPROXY_PROXY=127.0.0.1:${backend}\nPULLPROXY_ROUTE=${ROUTE}\nPULLPROXY_SECRET=${SECRET}\n`,
      '/opt/bin/pullproxy': '#!/bin/sh\nexec node /opt/pullproxy/src/cli/main.ts "$@"\n',
    });
  });
  afterAll(async () => {
    machine?.remove();
    await redis?.stop();
  });

  const property = (name: string): string => machine.try('systemctl', 'show', '--value', '--property', name, 'pullproxy-node').trim();
  const ready = async (): Promise<boolean> => (await fetch(`${admin}/readyz`)).ok;

  test('serves', async () => {
    expect(machine.try('systemctl', 'enable', '--now', 'pullproxy-node', 'pullproxy-scaler')).toMatch(/multi-user\.target\.wants/);
    await eventually('the node is ready', ready, 60_000);
    const { status, body } = await ask(url, { host: ROUTE });
    expect([status, body.includes('Hello from instance')]).toEqual([200, true]);
  });

  test('starts a node again that was killed, and ends one that is stopped in peace', async () => {
    const before = property('MainPID');
    machine.try('systemctl', 'kill', '--signal', 'KILL', 'pullproxy-node');
    await eventually('it is there again', async () => property('MainPID') !== before && (await ready()), 60_000);
    expect(property('NRestarts')).toBe('1');
    await eventually('and serves', async () => (await ask(url, { host: ROUTE })).status === 200, 60_000);
    machine.try('systemctl', 'stop', 'pullproxy-node');
    expect([property('Result'), property('ExecMainStatus')]).toEqual(['success', '0']);
  });
});

test('the units name settings that there are', () => {
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const help = ['node', 'scaler']
    .map((command) => execFileSync(process.execPath, [main, command, '--help'], { encoding: 'utf8' }))
    .join('');
  const names = [
    ...UNITS.map(({ content }) => content)
      .join('\n')
      .matchAll(/PULLPROXY_([A-Z_]+)=/g),
  ].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(3);
  for (const name of names) expect(help).toContain(`--${name.toLowerCase().replaceAll('_', '-')}`);
});
