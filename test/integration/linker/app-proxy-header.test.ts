/** Connections that begin with a PROXY header: each is one client's, and there are never more than slots. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag } from '../../../src/link/frames.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, type FakeInstance, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { type AppPeer, closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const A = '192.0.2.1 1001 127.0.0.1 80';
const B = '192.0.2.2 1002 127.0.0.1 80';
const HEADER_A = 'PROXY TCP4 192.0.2.1 127.0.0.1 1001 80\r\n';
const HEADER_B = 'PROXY TCP4 192.0.2.2 127.0.0.1 1002 80\r\n';

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
});

async function instanceOf(app: TcpApp, concurrency: number): Promise<FakeInstance> {
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address, concurrency, proxyProtocol: 'v1' });
  const instance = await node.instance();
  await running.linker.ready;
  await instance.idle(concurrency);
  await eventually('the probe is closed', () => app.open === 0);
  app.peers.length = 0;
  return instance;
}

function answering(peer: AppPeer): void {
  peer.socket.on('data', (chunk: Buffer) => {
    if (chunk.includes('GET ')) peer.answer();
  });
  peer.socket.on('end', () => peer.socket.end());
}

function request(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: app\r\n\r\n`;
}

describe('a connection with a PROXY header', () => {
  test('serves its own client again, and no other', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app, 3);
    for (const [path, client] of [
      ['/1', A],
      ['/2', B],
      ['/3', A],
      ['/4', B],
      ['/5', A],
    ] as const) {
      const visit = instance.open(request(path), Flag.NONE, client);
      await visit.answered();
      visit.keep();
    }
    expect(app.peers.map(({ text }) => text)).toEqual([
      HEADER_A + request('/1') + request('/3') + request('/5'),
      HEADER_B + request('/2') + request('/4'),
    ]);
  });

  test('has it once, also where the stream asks for a fresh one', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app, 3);
    for (const path of ['/1', '/2']) {
      const visit = instance.open(request(path), Flag.FRESH, A);
      await visit.answered();
      visit.keep();
    }
    expect(app.peers.map(({ text }) => text)).toEqual([HEADER_A + request('/1'), HEADER_A + request('/2')]);
  });

  test('gives way to one of another client, and the application never has more than there are slots', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app, 1);
    for (let round = 0; round < 5; round++) {
      for (const client of [A, B]) {
        const visit = instance.open(request('/'), Flag.NONE, client);
        await visit.answered();
        visit.keep();
      }
    }
    expect(app.peers).toHaveLength(10);
    expect(app.engagedMax).toBe(1);
  });

  test('is closed when it is done and somebody else waits for its place', async () => {
    let ends = true;
    const app = await TcpApp.start(({ socket }) => socket.on('end', () => ends && socket.end()));
    const instance = await instanceOf(app, 2);
    ends = false;
    const [first, second] = [instance.open(request('/1'), Flag.NONE, A), instance.open(request('/2'), Flag.NONE, A)];
    const peers = [await app.peer(1), await app.peer(2)];
    for (const peer of peers) await peer.received('\r\n\r\n');
    for (const peer of peers) peer.answer();
    await Promise.all([first.answered(), second.answered()]);
    // Its place is free only when its application has closed.
    first.close();
    second.keep();
    const third = instance.open(request('/3'), Flag.NONE, B);
    await eventually('both are told to end', () => peers.every(({ ended }) => ended));
    expect(app.peers).toHaveLength(2);
    peers[0]?.socket.end();
    const last = await app.peer(3);
    await last.received('\r\n\r\n');
    expect(last.text).toBe(HEADER_B + request('/3'));
    last.answer();
    await third.answered();
  });

  test('names nobody where the node does not say whose a stream is, as an older one does not', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app, 2);
    for (let i = 0; i < 2; i++) await instance.get();
    expect(instance.hello.tellClients).toBe(true);
    expect(app.peers.map(({ text }) => text)).toEqual([`PROXY UNKNOWN\r\n${request('/').repeat(2)}`]);
  });
});

test('the application reads a PROXY header in front of the question whether it is ready, too', async () => {
  const app = await TcpApp.start(answering);
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address, readyPath: '/up', proxyProtocol: 'v1' });
  await running.linker.ready;
  expect(app.peers.map(({ text }) => text)).toEqual([expect.stringMatching(/^PROXY UNKNOWN\r\nGET \/up HTTP\/1\.1\r\n/)]);
});

test('without the option there is none, and nothing is asked of the node', async () => {
  const app = await TcpApp.start(answering);
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address });
  await running.linker.ready;
  const instance = await node.instance();
  await instance.idle(4);
  expect(instance.hello.tellClients).toBeUndefined();
  await instance.open(request('/'), Flag.NONE, A).answered();
  await instance.open(request('/'), Flag.NONE, B).answered();
  expect(app.peers.map(({ text }) => text)).toEqual([request('/'), request('/')]);
});
