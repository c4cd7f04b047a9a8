/** Requests that take several slots of an instance, and slots that are brought together for one of them. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { ResetCode } from '../../../src/link/frames.ts';
import type { LinkerOptions } from '../../../src/linker/linker-options.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, type FakeInstance, FakeNode, type FakeVisit } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n';

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
});

async function linked(options: Partial<LinkerOptions> = {}) {
  const app = await TcpApp.start(() => {});
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address, concurrency: 6, ...options });
  const instance = await node.instance();
  return { app, node, running, instance, limit: running.linker.limit };
}

/** Another node with `count` of the slots. */
async function second(instance: FakeInstance, count: number, id = 'n2'): Promise<FakeInstance> {
  const node = await FakeNode.start({ id });
  instance.link.move(count, node.said);
  const other = await node.instance();
  await other.idle(count);
  return other;
}

const heavy = (instance: FakeInstance, cost: number): FakeVisit => instance.open(GET, 0, '', false, cost);

describe('a request that costs several slots', () => {
  test('takes them, also as its linker counts', async () => {
    const { app, instance, running } = await linked();
    await instance.idle(6);
    const visit = heavy(instance, 4);
    expect([instance.link.idle, instance.link.active]).toEqual([2, 4]);
    const peer = await app.peer(1);
    expect(running.linker.control.picture.active).toBe(4);
    peer.answer();
    await visit.answered();
    visit.keep();
    await instance.idle(6);
    await eventually('nothing is in use', () => running.linker.control.picture.active === 0);
  });

  test('is not given to the application while the limit has no room for all of it, and is as soon as it has', async () => {
    const { app, instance, limit } = await linked();
    await instance.idle(6);
    const light = instance.open(GET);
    await app.peer(1);
    limit.set(4, 'control');
    const visit = heavy(instance, 4);
    await eventually('its node hears that it waits', () => visit.waits === 1);
    (await app.peer(1)).answer();
    await light.answered();
    light.keep();
    await eventually('it is given', () => app.peers.some(({ text }) => text.split(GET).length === 3) || app.peers.length === 2);
  });

  test('that costs more than the lowered limit lets the others pass, and goes on when the limit is high enough again', async () => {
    const { app, instance, limit } = await linked();
    await instance.idle(6);
    limit.set(2, 'control');
    // The node does not know yet.
    const visit = heavy(instance, 4);
    const light = instance.open(GET);
    await eventually('its node hears that it waits', () => visit.waits === 1);
    const peer = await app.peer(1);
    peer.answer();
    await light.answered();
    expect(app.peers).toHaveLength(1);
    limit.set(4, 'control');
    light.keep();
    await eventually('it is given', () => app.peers.some(({ text }) => text.split(GET).length === 3) || app.peers.length === 2);
  });

  test('keeps all of its slots when its link is lost, until the application is done with it', async () => {
    const { app, node, instance } = await linked();
    await instance.idle(6);
    heavy(instance, 4);
    await app.peer(1);
    const { port } = node.address;
    node.close();
    const again = await (await FakeNode.start({ id: 'n1', port })).instance();
    await again.idle(2);
    (await app.peer(1)).socket.destroy();
    await again.idle(6);
  });

  test('may be given back by a node before it reached the application', async () => {
    const { instance, limit } = await linked();
    await instance.idle(6);
    limit.set(1, 'control');
    const visit = heavy(instance, 5);
    await eventually('its node hears that it waits', () => visit.waits === 1);
    visit.cancel(ResetCode.CANCEL);
    await instance.idle(1);
    limit.set(6, 'control');
    await instance.idle(6);
  });
});

describe('slots that a node wants together', () => {
  test('come from wherever they lie idle', async () => {
    const { instance } = await linked();
    await instance.idle(6);
    const other = await second(instance, 2);
    other.link.gather(5);
    await other.idle(5);
    await instance.idle(1);
    heavy(other, 5);
    other.link.gather(0);
    expect(other.link.active).toBe(5);
  });

  test('come as the streams end that have them', async () => {
    const { app, instance } = await linked();
    await instance.idle(6);
    const other = await second(instance, 1);
    const visits = [1, 2, 3, 4, 5].map(() => instance.open(GET));
    await app.peer(5);
    other.link.gather(6);
    for (const [at, visit] of visits.entries()) {
      (await app.peer(at + 1)).answer();
      await visit.answered();
      visit.keep();
      await other.idle(2 + at);
    }
    expect(instance.link.idle).toBe(0);
  });

  test('come to one node after the other: no two hold a half each', async () => {
    const { app, instance } = await linked();
    await instance.idle(6);
    const nodes = [await second(instance, 2, 'n2'), await second(instance, 2, 'n3'), instance];
    for (const one of nodes) one.link.gather(6);
    for (const one of nodes) {
      await one.idle(6);
      const visit = heavy(one, 6);
      one.link.gather(0);
      const peer = await app.peer(1);
      await eventually('it has the request', () => peer.text !== '');
      peer.text = '';
      peer.answer();
      await visit.answered();
      visit.keep();
    }
    await nodes[2]?.idle(6);
  });

  test('are refused above the limit, also when that is lowered later', async () => {
    const { app, instance, limit } = await linked();
    await instance.idle(6);
    const other = await second(instance, 1);
    other.link.gather(7);
    await eventually('the node hears of it', () => other.atMost.length === 1);
    expect(other.atMost).toEqual([6]);
    const visit = instance.open(GET);
    other.link.gather(6);
    await other.idle(5);
    limit.set(3, 'control');
    await eventually('the node hears of it', () => other.atMost.length === 2);
    expect(other.atMost).toEqual([6, 3]);
    (await app.peer(1)).answer();
    await visit.answered();
    visit.keep();
    await eventually('the limit holds', () => other.link.idle + instance.link.idle + instance.link.active === 3);
  });

  test('do not keep an instance from leaving', async () => {
    const { app, instance, running } = await linked();
    await instance.idle(6);
    const other = await second(instance, 1);
    instance.open(GET);
    await app.peer(1);
    other.link.gather(6);
    await other.idle(5);
    running.linker.drain();
    await eventually('the node hears of it', () => other.atMost.length === 1);
    expect(other.atMost).toEqual([0]);
    await other.idle(0);
    (await app.peer(1)).socket.destroy();
  });

  test('are free for others when their node is gone', async () => {
    const { node, instance } = await linked();
    await instance.idle(6);
    const lost = await FakeNode.start({ id: 'n2' });
    instance.link.move(1, lost.said);
    const other = await lost.instance();
    await other.idle(1);
    other.link.gather(6);
    await other.idle(6);
    lost.close();
    await instance.idle(6);
    expect(node.living).toHaveLength(1);
  });
});
