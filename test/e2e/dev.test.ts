/** `pullproxy dev`: node, scaler and instances in one process, without Redis. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask, crowd, statuses } from '../support/clients.ts';
import { Ledger } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Running, startProcess } from '../support/processes.ts';

const ledger = new Ledger();
let dev: Running;
let url: string;
let admin: string;

beforeAll(async () => {
  const ports = ['--listen', 'http://127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const sizes = ['--concurrency', '2', '--max-instances', '3', '--idle-timeout', '1500ms', '--old-idle-timeout', '300ms'];
  dev = await startProcess(['dev', ...ports, ...sizes, '--', ...COUNTING_APP], { env: ledger.env(2) });
  url = (dev.ready.listen as string[])[0] as string;
  admin = `http://${String(dev.ready.admin)}`;
});

afterAll(async () => {
  await dev?.stop();
  ledger.remove();
});

async function instances(): Promise<number> {
  const state = (await (await fetch(`${admin}/api/v1/state`)).json()) as { routes: { instances: unknown[] }[] };
  return state.routes.reduce((sum, route) => sum + route.instances.length, 0);
}

describe('one process', () => {
  test('says where to click', async () => {
    // It comes by another pipe than the log.
    await eventually('the welcome', () => dev.text().includes('Ctrl-C ends everything'));
    expect(dev.text()).toContain(url);
    expect(dev.text()).toContain(admin);
  });

  test('says nothing of Redis, since there is none', async () => {
    let events: { code: string; text: string }[] = [];
    await eventually('the start is told', async () => {
      ({ events } = (await (await fetch(`${admin}/api/v1/timeline`)).json()) as { events: typeof events });
      return events.some(({ code }) => code === 'started');
    });
    expect(events.filter(({ code, text }) => code.startsWith('directory') || text.includes('Redis'))).toEqual([]);
  });

  test('a crowd for any host is served by as many instances as it may have, each within its concurrency', async () => {
    expect(ledger.lines(ledger.starts)).toEqual([]);
    const answers = await crowd(
      40,
      () => url,
      (i) => ({ host: `host${i}.test`, path: '/slow?ms=100' }),
    );
    expect(statuses(answers)).toEqual({ 200: 40 });
    expect(ledger.lines(ledger.violations)).toEqual([]);
    expect(ledger.lines(ledger.starts)).toHaveLength(3);
  });

  test('instances leave when nobody asks, and one comes again with the next request', async () => {
    await eventually('no instance is left', async () => (await instances()) === 0, 20_000);
    ledger.reset();
    expect(await ask(url, { host: 'again.test' })).toMatchObject({ status: 200, body: 'ok' });
    expect(ledger.lines(ledger.starts)).toHaveLength(1);
  });

  test('ends with all its instances on SIGTERM', async () => {
    await ask(url, { host: 'last.test' });
    const { pid } = JSON.parse((await ask(url, { host: 'last.test', path: '/stats' })).body) as { pid: number };
    expect(await dev.stop()).toEqual({ code: 0, signal: null });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});
