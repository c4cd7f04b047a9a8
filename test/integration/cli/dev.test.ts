import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { DEV as DEV_SETTINGS } from '../../../src/config/commands/dev.ts';
import { NODE } from '../../../src/config/commands/node.ts';
import { eventually } from '../../support/eventually.ts';
import { type Running, runCommand, startProcess } from '../../support/processes.ts';

const DEMO = fileURLToPath(new URL('../../../deploy/examples/demo-app.mjs', import.meta.url));
const DEV = ['dev', '--listen', 'http://127.0.0.1:0', '--admin', '127.0.0.1:0'];

interface ApplicationResponse {
  readonly pid: number;
  readonly atOnce: number;
}

interface State {
  readonly routes: readonly { readonly name: string; readonly held: number; readonly instances: readonly { readonly state: string }[] }[];
}

const urlOf = (dev: Running): string => (dev.ready.listen as string[])[0] ?? '';
const work = async (dev: Running): Promise<ApplicationResponse> =>
  (await (await fetch(`${urlOf(dev)}/work`)).json()) as ApplicationResponse;
const instances = async (dev: Running) => {
  const state = (await (await fetch(`http://${dev.ready.admin}/api/v1/state`)).json()) as State;
  return state.routes[0]?.instances ?? [];
};

describe('dev', () => {
  test('says where to click', async () => {
    const dev = await startProcess([...DEV, '--', process.execPath, DEMO]);
    await eventually('the welcome', () => dev.text().includes(`Your application:   ${urlOf(dev)}/`));
    expect(dev.text()).toContain(`What is going on:   http://${dev.ready.admin}/`);
    expect(dev.logs.filter(({ msg }) => msg === 'ready')).toHaveLength(1);
    expect(await dev.stop()).toEqual({ code: 0, signal: null });
  });

  test('starts from nothing what a crowd needs, never overloads an instance, and lets idle ones leave', async () => {
    const limits = ['--concurrency', '2', '--max-instances', '3', '--idle-timeout', '1s', '--old-idle-timeout', '300ms'];
    const dev = await startProcess([...DEV, ...limits, '--', process.execPath, DEMO]);
    expect(await instances(dev)).toEqual([]);
    const answers = await Promise.all(Array.from({ length: 12 }, () => work(dev)));
    expect(new Set(answers.map(({ pid }) => pid)).size).toBe(3);
    expect(Math.max(...answers.map(({ atOnce }) => atOnce))).toBe(2);
    const metrics = await (await fetch(`http://${dev.ready.admin}/metrics`)).text();
    expect(metrics).toContain('pullproxy_startup_commands_total{route="*",result="ok"} 3');
    expect(metrics).toContain('pullproxy_requests_total{route="*",code="200"} 12');
    await eventually('all have left', async () => (await instances(dev)).length === 0);
    expect((await work(dev)).atOnce).toBe(1);
    expect(await dev.stop()).toEqual({ code: 0, signal: null });
  });

  test('keeps the minimum without traffic, and takes it along when it leaves', async () => {
    const dev = await startProcess([...DEV, '--min-instances', '1', '--', process.execPath, DEMO]);
    await eventually('one is there', async () => (await instances(dev)).filter(({ state }) => state === 'ready').length === 1);
    const { pid } = await work(dev);
    expect(await dev.stop()).toEqual({ code: 0, signal: null });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  test('an application that does not start is said, and its clients get their response in time', async () => {
    const dev = await startProcess([...DEV, '--hold-timeout', '500ms', '--', process.execPath, '-e', 'process.exit(3)']);
    const response = await fetch(urlOf(dev));
    expect(response.status).toBe(503);
    expect(response.headers.get('proxy-status')).toBe('pullproxy; error=connection_timeout; details=hold_timeout');
    await dev.logged(({ msg }) => String(msg).includes('ended with code 3'));
    expect(await dev.stop()).toEqual({ code: 0, signal: null });
  });
});

describe('what can not work is said at once', () => {
  test.each([
    [['--', 'pyhton3', 'app.py'], '"pyhton3": expected a program: no directory of PATH has one of this name.'],
    [['--', './no/such/program'], '"./no/such/program": expected a program: there is no such file'],
    [['--', DEMO], 'expected a program: this file is not executable'],
    [['--', '/tmp'], 'expected a program: this file is not executable'],
    [['--max-instances', '0', '--', 'true'], '--max-instances 0: expected at least 1, or no client would ever be served'],
  ])('%j', async (words, said) => {
    const { code, stdout, stderr } = await runCommand([...DEV, ...words]);
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(said)]);
  });

  test('it listens for its own machine by default', () => {
    expect(DEV_SETTINGS.settings.listen.defaultText).toBe('http://127.0.0.1:8080');
    expect(NODE.settings.listen.defaultText).toBe('http://0.0.0.0:8080');
  });
});
