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
import { DebianMachine, hasSystemd } from '../support/debian-machine.ts';
import { eventually } from '../support/eventually.ts';
import { MAIN } from '../support/program-path.ts';
import { INSTANCES_MAX, playStory } from '../support/recipe-stage.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy', import.meta.url));
const read = (path: string): string => readFileSync(join(DEPLOY, path), 'utf8');
const UNITS = readdirSync(join(DEPLOY, 'systemd'))
  .filter((name) => name.endsWith('.service'))
  .map((name) => ({ name, content: read(`systemd/${name}`) }));
const TEMPLATE = { name: 'pullproxy-app@.service', content: read('recipes/systemd/pullproxy-app@.service') };
const STORY_TIMEOUT_MS = 400_000;
const ROUTE = 'app.example.com';
const TRANSIENT = 'transient.example.com';
const RUN = ['deploy/recipes/systemd/run.sh', 'node', 'deploy/examples/demo-app.mjs'];

if (!hasSystemd && process.env.CI === 'true') throw new Error('the tests need Docker, systemd and polkitd');

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

(hasSystemd ? describe : describe.skip)('a machine with a node, a scaler and an application as units, set up as documented', () => {
  let redis: RedisServer;
  let machine: DebianMachine;
  let url: string;
  let admin: string;

  beforeAll(async () => {
    redis = await startRedis();
    await setRoute(redis.url, ROUTE, `maxInstances=${INSTANCES_MAX}`, 'holdTimeout=1m');
    await setRoute(redis.url, TRANSIENT, 'maxInstances=1', 'holdTimeout=1m', `command=${JSON.stringify(RUN)}`);
    const [listen, backend, adminPort] = [await freePort(), await freePort(), await freePort()];
    url = `http://127.0.0.1:${listen}`;
    admin = `http://127.0.0.1:${adminPort}`;
    const app = `PULLPROXY_PROXY=127.0.0.1:${backend}\nPULLPROXY_SECRET=${SECRET}\nPULLPROXY_CONCURRENCY=2\nPULLPROXY_IDLE_TIMEOUT=2s\nPULLPROXY_OLD_IDLE_TIMEOUT=2s\n`;
    machine = await DebianMachine.boot('systemd', {
      '/etc/pullproxy/node.env': `PULLPROXY_LISTEN=${url}\nPULLPROXY_REDIS=${redis.url}\nPULLPROXY_BACKEND=127.0.0.1:${backend}\nPULLPROXY_ADMIN=127.0.0.1:${adminPort}\nPULLPROXY_SECRET=${SECRET}\n`,
      '/etc/pullproxy/scaler.env': `PULLPROXY_REDIS=${redis.url}\n`,
      '/etc/pullproxy/app.env': `${app}PULLPROXY_ROUTE=${ROUTE}\n`,
      // The documented path of this recipe's settings belongs to the other one.
      '/etc/pullproxy/transient.env': app,
    });
    // Every line as it stands in the unit's own comment.
    for (const line of documentedSteps()) expect([line, machine.run('sh', '-c', line).status]).toEqual([line, 0]);
  });
  afterAll(async () => {
    machine?.remove();
    await redis?.stop();
  });

  const property = (name: string, unit = 'pullproxy-node'): string =>
    machine.try('systemctl', 'show', '--value', '--property', name, unit).trim();
  const ready = async (): Promise<boolean> => (await fetch(`${admin}/readyz`)).ok;
  const units = (pattern: string): string => machine.try('systemctl', 'list-units', '--all', '--plain', '--no-legend', pattern);
  const asScaler = (...words: readonly string[]): { status: number | null; output: string } =>
    machine.run('setpriv', '--reuid=pullproxy', '--regid=pullproxy', '--clear-groups', ...words);

  test(
    'serves, by instances that the scaler starts as a user without rights, and leaves no unit behind',
    async () => {
      expect(machine.try('systemctl', 'enable', '--now', 'pullproxy-node')).toMatch(/multi-user\.target\.wants/);
      await eventually('the node is ready', ready, 60_000);
      const left = (): number => units('pullproxy-app@*').match(/pullproxy-app@[a-z0-9]+\.service /g)?.length ?? 0;
      await playStory({ scheduler: 'systemd', node: { url, admin }, route: ROUTE, left });
      expect(property('User', 'pullproxy-scaler')).toBe('pullproxy');
    },
    STORY_TIMEOUT_MS,
  );

  test('lets the scaler start and stop instances, and no other unit', () => {
    expect(asScaler('systemctl', 'start', 'pullproxy-app@abc123')).toEqual({ status: 0, output: '' });
    expect(asScaler('systemctl', 'stop', 'pullproxy-app@abc123')).toEqual({ status: 0, output: '' });
    for (const [verb = '', unit = ''] of [
      ['start', 'debug-shell.service'],
      ['stop', 'pullproxy-node.service'],
      ['restart', 'pullproxy-app@abc123.service'],
      ['start', 'pullproxy-app@a-b.service'],
    ]) {
      expect([verb, unit, asScaler('systemctl', verb, unit).output]).toEqual([
        verb,
        unit,
        expect.stringMatching(/authentication required|Access denied/i),
      ]);
    }
    expect(asScaler('systemd-run', '--quiet', 'true').output).toMatch(/authentication required|Access denied/i);
  });

  test('takes transient units from a scaler that is root', async () => {
    const scaler = ['pullproxy', 'scaler', '--redis', redis.url, '--allow-route-commands', '--command-env', 'PULLPROXY_ENV', '--', 'false'];
    machine.try('systemctl', 'stop', 'pullproxy-scaler');
    machine.start({ PULLPROXY_ENV: '/etc/pullproxy/transient.env' }, ...scaler);
    expect((await ask(url, { host: TRANSIENT })).status).toBe(200);
    expect(units('pullproxy-*')).toMatch(/pullproxy-[a-z0-9]+\.service loaded active +running pullproxy instance of transient/);
    await eventually('it has left, and the unit with it', () => !units('pullproxy-*').includes('instance of transient'), 60_000);
  });

  test('starts a node again that was killed, and ends one that is stopped in peace', async () => {
    const before = property('MainPID');
    machine.try('systemctl', 'kill', '--signal', 'KILL', 'pullproxy-node');
    await eventually('it is there again', async () => property('MainPID') !== before && (await ready()), 60_000);
    expect(property('NRestarts')).toBe('1');
    await eventually('and serves', async () => (await ask(url, { host: TRANSIENT })).status === 200, 60_000);
    machine.try('systemctl', 'stop', 'pullproxy-node');
    expect([property('Result'), property('ExecMainStatus')]).toEqual(['success', '0']);
  });
});

/** The commands in the comments of the units, in their order. */
function documentedSteps(): string[] {
  const steps = [...UNITS].flatMap(({ content }) =>
    [...content.matchAll(/^# {3}((?:cp|systemd-sysusers|systemctl enable)\b.*)$/gm)].map(([, step = '']) => step),
  );
  expect(steps).toContain('systemd-sysusers');
  // The node is enabled by its own test, and agents stand in for the units that the scaler starts here.
  return steps.filter((step) => !/pullproxy-(node|agent)$/.test(step)).map((step) => `cd /opt/pullproxy && ${step}`);
}

test('the units name settings that there are', () => {
  const help = ['node', 'scaler', 'linker']
    .map((command) => execFileSync(process.execPath, [MAIN, command, '--help'], { encoding: 'utf8' }))
    .join('');
  const names = [
    ...UNITS.map(({ content }) => content)
      .join('\n')
      .matchAll(/PULLPROXY_([A-Z_]+)=/g),
  ].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(3);
  for (const name of names) expect(help).toContain(`--${name.toLowerCase().replaceAll('_', '-')}`);
});
