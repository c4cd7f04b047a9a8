/** The recipe for supervisord, set up as its comments say, on a machine that Debian's own supervisord runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ask } from '../../support/clients.ts';
import { SECRET, setRoute } from '../../support/cluster.ts';
import { DebianMachine, hasSupervisord } from '../../support/debian-machine.ts';
import { eventually } from '../../support/eventually.ts';
import { FAILING, playStory, RECIPES, recipeStage } from '../../support/recipe-stage.ts';

const CONF = '/etc/supervisor/conf.d/pullproxy.conf';
const DEMO = 'node deploy/examples/demo-app.mjs';
const PROGRAMS = 4;

if (!hasSupervisord && process.env.CI === 'true') throw new Error('the tests need Docker and supervisor');

(hasSupervisord ? describe : describe.skip)('a program of supervisord', () => {
  const stage = recipeStage();
  let machine: DebianMachine;

  beforeAll(async () => {
    const settings = { proxy: stage.node.backend, secret: SECRET, concurrency: 2, 'idle-timeout': '2s', 'old-idle-timeout': '2s' };
    machine = await DebianMachine.boot('supervisord', {
      '/etc/pullproxy/app.yaml': JSON.stringify(settings),
      '/etc/pullproxy/scaler.yaml': JSON.stringify({ redis: stage.redis.url }),
    });
    // The lines of the recipe's own comment.
    const conf = readFileSync(join(RECIPES, 'supervisord/pullproxy.conf'), 'utf8');
    const steps = [...conf.matchAll(/^; {3}((?:cp|supervisorctl) .*)$/gm)].map(([, step = '']) => step);
    expect(steps).toHaveLength(2);
    for (const step of steps) expect([step, shell(`cd /opt/pullproxy && ${step}`).status]).toEqual([step, 0]);
  });
  afterAll(() => machine?.remove());
  beforeEach(() => eventually('the scaler runs', () => /RUNNING/.test(machine.try('supervisorctl', 'status', 'pullproxy-scaler')), 60_000));

  const shell = (line: string) => machine.run('sh', '-c', line);
  const running = (program = 'app:*'): number => machine.try('supervisorctl', 'status', program).match(/RUNNING/g)?.length ?? 0;
  const recipe = (script: string, id: string, route: string) =>
    shell(`cd /opt/pullproxy && START_ID=${id} ROUTE=${route} deploy/recipes/supervisord/${script}`);

  test('serves, and does not run any more when it has left', async () => {
    await playStory({ scheduler: 'supervisord', node: stage.node, route: stage.route, left: running });
  });

  test.each(Object.entries(FAILING))('does not run any more when its application %s', async (_, app) => {
    const [program, flag, script] = app;
    const failing = `sed 's/${DEMO.replaceAll('/', '\\/')}/${program} ${flag} "${script}"/' /opt/pullproxy/deploy/recipes/supervisord/pullproxy.conf`;
    const documented = `cat /opt/pullproxy/deploy/recipes/supervisord/pullproxy.conf`;
    const update = (conf: string) => shell(`${conf} >${CONF} && supervisorctl update`).output;
    expect(update(failing)).toMatch(/app: updated process group/);
    try {
      await stage.set('maxInstances=1', 'holdTimeout=10s', 'startTimeout=5s');
      expect((await ask(stage.node.url, { host: stage.route })).status).toBe(503);
      await stage.set('maxInstances=0');
      const notes = (): string => shell('cat /run/pullproxy/*.start').output;
      await eventually('nothing is left', () => running() === 0 && !notes().includes(stage.route), 120_000);
    } finally {
      expect(update(documented)).toMatch(/app: updated process group/);
    }
  });

  test('is one for each start, is not stopped for another route, and there are no more than supervisord has', () => {
    // Linkers that find no node stay for twice their idle time.
    shell(`sed -i 's/"2s"/"5m"/g; s/${stage.node.backend}/127.0.0.1:9/' /etc/pullproxy/app.yaml`);
    const ids = Array.from({ length: PROGRAMS }, (_, i) => `start${i}`);
    const starts = [...ids, 'start1'].map((id) => recipe('start.sh app', id, 'by-hand.example.com').status);
    expect(starts).toEqual(Array.from({ length: PROGRAMS + 1 }, () => 0));
    expect(running()).toBe(PROGRAMS);
    expect(recipe('start.sh app', 'another', 'by-hand.example.com')).toEqual({
      status: 1,
      output: expect.stringMatching(/raise its numprocs/),
    });

    expect(recipe('stop.sh', 'start1', 'other.example.com')).toEqual({ status: 1, output: expect.stringMatching(/it is not stopped/) });
    expect(running()).toBe(PROGRAMS);
    for (const id of ids) expect([id, recipe('stop.sh', id, 'by-hand.example.com').status]).toEqual([id, 0]);
    expect(running()).toBe(0);
    // It is gone already.
    expect(recipe('stop.sh', 'start1', 'by-hand.example.com').status).toBe(0);
    shell(`sed -i 's/"5m"/"2s"/g; s/127.0.0.1:9/${stage.node.backend}/' /etc/pullproxy/app.yaml`);
  });

  test('that is not told the id of its start is started by supervisorctl alone', async () => {
    const route = 'alone.example.com';
    await setRoute(stage.redis.url, route, 'maxInstances=1', 'holdTimeout=1m');
    const program = `[program:alone]\nautostart=false\nautorestart=false\nstartsecs=0\ndirectory=/opt/pullproxy\ncommand=pullproxy linker --config /etc/pullproxy/app.yaml --route ${route} -- ${DEMO}\n`;
    const set = [`printf '${program.replaceAll('\n', '\\n')}' >/etc/supervisor/conf.d/alone.conf`, 'supervisorctl update'];
    expect(shell([...set, 'supervisorctl stop pullproxy-scaler'].join(' && ')).status).toBe(0);
    machine.start({}, 'pullproxy', 'scaler', '--redis', stage.redis.url, '--', 'supervisorctl', 'start', 'alone');
    for (const _ of ['at first', 'and again']) {
      expect((await ask(stage.node.url, { host: route })).status).toBe(200);
      await eventually('it has left', () => /EXITED/.test(machine.try('supervisorctl', 'status', 'alone')), 60_000);
    }
  });
});
