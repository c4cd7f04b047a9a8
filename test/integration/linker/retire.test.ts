import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag } from '../../../src/link/frames.ts';
import { askInMs, type IdleFacts, Retire } from '../../../src/linker/retire.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, type FakeInstance, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n';

const fail = (): never => {
  throw new Error('it left');
};

describe('when an instance asks', () => {
  const facts: IdleFacts = { now: 100_000, quietSince: 100_000, refusedAt: null, timeoutMs: 10_000 };

  test.each<[string, Partial<IdleFacts>, number]>([
    ['quiet has just begun', {}, 10_000],
    ['quiet has lasted for a part', { quietSince: 97_000 }, 7_000],
    ['quiet has lasted', { quietSince: 90_000 }, 0],
    ['quiet has lasted for long', { quietSince: 40_000 }, -50_000],
    ['it was just told to stay', { quietSince: 40_000, refusedAt: 100_000 }, 5_000],
    ['it was told to stay a while ago', { quietSince: 40_000, refusedAt: 95_000 }, 0],
    ['it was told to stay and served since', { quietSince: 99_000, refusedAt: 95_000 }, 9_000],
    ['short timeouts do not make it ask without end', { quietSince: 40_000, refusedAt: 100_000, timeoutMs: 200 }, 1_000],
  ])('%s', (_name, over, expected) => {
    expect(askInMs({ ...facts, ...over })).toBe(expected);
  });

  test('times beyond what a timer can wait do not fire at once', () => {
    let asked = 0;
    const retire = new Retire({ idleTimeoutMs: 2 ** 40, oldIdleTimeoutMs: 2 ** 40 }, () => ++asked > 0, fail);
    retire.start();
    retire.stop();
    expect(asked).toBe(0);
  });

  test('without a node to ask it leaves after its time and as long again', async () => {
    let [asked, left] = [0, 0];
    const times = { idleTimeoutMs: 10, oldIdleTimeoutMs: 10, aloneMsMin: 500 };
    const retire = new Retire(
      times,
      () => ++asked < 0,
      () => ++left,
    );
    retire.start();
    await eventually('it leaves', () => left === 1);
    expect(asked).toBeGreaterThan(1);
    retire.stop();
  });

  test('a node that was there meanwhile is no time without one', async () => {
    let asked = 0;
    const times = { idleTimeoutMs: 10, oldIdleTimeoutMs: 10, aloneMsMin: 500 };
    const retire = new Retire(times, () => ++asked < 0, fail);
    retire.start();
    await eventually('it has asked', () => asked === 1);
    await new Promise((resolve) => setTimeout(resolve, 600));
    retire.askAnother();
    await eventually('it has asked again', () => asked === 2);
    retire.stop();
  });
});

describe('retiring', () => {
  afterEach(async () => {
    await endLinkers();
    closeFakeNodes();
    closeTcpApps();
  });

  async function ready(times: {
    idleTimeoutMs?: number;
    oldIdleTimeoutMs?: number;
  }): Promise<{ running: RunningLinker; instance: FakeInstance }> {
    const app = await TcpApp.start((peer) => {
      peer.socket.on('data', () => peer.answer());
      peer.socket.on('end', () => peer.socket.end());
    });
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: app.address, ...times });
    await running.linker.ready;
    const instance = await node.instance();
    await instance.idle(4);
    return { running, instance };
  }

  const asked = (instance: FakeInstance): Promise<void> => eventually('it asks', () => instance.asked.includes('retire'));

  test('an instance that was quiet asks, and leaves when it may', async () => {
    const { running, instance } = await ready({ idleTimeoutMs: 200 });
    await asked(instance);
    instance.link.answerRetire(true);
    expect(await running.exit).toBe(0);
    expect(instance.lastReport).toMatchObject({ state: 'draining' });
    expect(instance.link.idle).toBe(0);
  });

  test('it stays when it has to, and asks again', async () => {
    const { running, instance } = await ready({ idleTimeoutMs: 200 });
    await asked(instance);
    instance.link.answerRetire(false);
    instance.asked.length = 0;
    expect((await instance.get()).body).toBe('ok');
    await asked(instance);
    expect(running.code).toBeNull();
  });

  test('a response to no question means nothing', async () => {
    const { running, instance } = await ready({ idleTimeoutMs: 60_000 });
    instance.link.answerRetire(true);
    expect((await instance.get()).body).toBe('ok');
    expect(running.code).toBeNull();
    expect(running.said('linker retiring')).toEqual([]);
  });

  test('an older instance leaves sooner', async () => {
    const { instance } = await ready({ idleTimeoutMs: 60_000, oldIdleTimeoutMs: 200 });
    instance.link.newest(false);
    await asked(instance);
  });

  test('one that is the newest again stays for longer', async () => {
    const { instance } = await ready({ idleTimeoutMs: 60_000, oldIdleTimeoutMs: 400 });
    instance.link.newest(false);
    instance.link.newest(true);
    const since = performance.now();
    await eventually('the older ones would ask', () => performance.now() - since > 600);
    expect(instance.asked).toEqual([]);
  });

  test('requests that keep nobody awake do not put the time off, and are served to their end', async () => {
    const { running, instance } = await ready({ idleTimeoutMs: 400 });
    const since = performance.now();
    for (let requests = 0; !instance.asked.includes('retire'); requests++) {
      if (requests > 10_000) throw new Error('it never asks');
      const visit = instance.open(GET, Flag.NONE, '', true);
      await visit.complete;
      visit.keep();
    }
    expect(performance.now() - since).toBeLessThan(5_000);
    const last = instance.open(GET, Flag.NONE, '', true);
    instance.link.answerRetire(true);
    await last.complete;
    last.keep();
    expect(await running.exit).toBe(0);
  });

  test('a request after them does', async () => {
    const { instance } = await ready({ idleTimeoutMs: 500 });
    const quiet = instance.open(GET, Flag.NONE, '', true);
    const loud = instance.open(GET);
    await Promise.all([quiet.complete, loud.complete]);
    quiet.keep();
    const since = performance.now();
    await eventually('some of the time is over', () => performance.now() - since > 300);
    const end = performance.now();
    loud.keep();
    await asked(instance);
    expect(performance.now() - end).toBeGreaterThan(450);
  });

  test('it does not ask while a stream is in use, and from its end the time runs anew', async () => {
    const { instance } = await ready({ idleTimeoutMs: 300 });
    const visit = instance.open(GET);
    const since = performance.now();
    await eventually('the time is over', () => performance.now() - since > 500);
    expect(instance.asked).toEqual([]);
    const end = performance.now();
    visit.keep();
    await asked(instance);
    expect(performance.now() - end).toBeGreaterThan(280);
  });

  test('a stream that was opened before the recall arrived is served', async () => {
    const { running, instance } = await ready({ idleTimeoutMs: 200 });
    await asked(instance);
    instance.link.answerRetire(true);
    const visit = instance.open(GET);
    await visit.answered();
    expect(visit.body).toBe('ok');
    expect(running.code).toBeNull();
    visit.keep();
    expect(await running.exit).toBe(0);
  });

  test('a home that is lost before its response is asked no more, the next one is', async () => {
    const app = await TcpApp.start((peer) => peer.socket.on('end', () => peer.socket.end()));
    const node = await FakeNode.start();
    new RunningLinker({ proxies: [node.address], app: app.address, idleTimeoutMs: 200 });
    const instance = await node.instance();
    await asked(instance);
    const { port } = node.address;
    node.close();
    const next = await FakeNode.start({ id: 'n2', port });
    await eventually('the next one is asked', () => next.living[0]?.asked.includes('retire') === true);
  });
});
