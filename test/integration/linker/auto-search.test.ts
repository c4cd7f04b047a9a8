/** `--concurrency auto` on a running linker. */
import { afterEach, expect, test } from '@jest/globals';
import { Control } from '../../../src/linker/control.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, type FakeInstance, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { type AppPeer, closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const controls: Control[] = [];

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
  for (const control of controls.splice(0)) control.close();
});

const SERVICE_MS = 4;

/** One request after the other, whatever it gets. */
function singleThreaded(): (peer: AppPeer) => void {
  let freeAt = 0;
  return (peer) => {
    peer.socket.on('data', () => {
      freeAt = Math.max(freeAt, performance.now()) + SERVICE_MS;
      setTimeout(() => peer.answer(), freeAt - performance.now());
    });
  };
}

/** As many requests as there are slots, until `isOver`. */
async function load(instance: FakeInstance, isOver: () => boolean): Promise<void> {
  const visits: Promise<void>[] = [];
  while (!isOver()) {
    while (instance.link.idle > 0) {
      const visit = instance.open('GET / HTTP/1.1\r\nHost: app\r\n\r\n');
      visits.push(visit.complete.then(() => visit.keep()));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(visits);
}

test('finds that an application does one thing after the other, until the application says a number itself', async () => {
  const app = await TcpApp.start(singleThreaded());
  const node = await FakeNode.start();
  const control = await Control.open('own');
  controls.push(control);
  const auto = { least: 1, most: 100 };
  const running = new RunningLinker({ proxies: [node.address], app: app.address, concurrency: 10, auto, control });
  await running.linker.ready;
  const { limit } = running.linker;
  expect(limit.setBy).toBe('auto');
  const instance = await node.instance();
  let isOver = false;
  const loaded = load(instance, () => isOver);
  await eventually(`it is found; it is ${limit.value}`, () => limit.value <= 2, 30_000);
  limit.said('7');
  expect([limit.value, limit.setBy]).toEqual([7, 'header']);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect([limit.value, limit.setBy]).toEqual([7, 'header']);
  isOver = true;
  await loaded;
});

test('leaves streams out that are long by nature', async () => {
  const app = await TcpApp.start((peer) => peer.socket.on('data', () => peer.socket.write('HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n')));
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address, concurrency: 3, auto: { least: 1, most: 50 } });
  const instance = await node.instance();
  await instance.idle(3);
  const visits = [instance.open('GET /events'), instance.open('GET /events')];
  for (const visit of visits) await visit.received('data: 1');
  await instance.idle(3);
  expect(running.linker.limit.value).toBe(5);
  for (const visit of visits) visit.close();
  for (const number of [1, 2]) (await app.peer(number)).socket.end();
  await eventually('it is as before', () => running.linker.limit.value === 3);
});
