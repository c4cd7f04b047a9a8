/** Several nodes behind the same ports, as the workers of one machine are, and what becomes of clients when one of them leaves. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../src/linker/free-port.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeLinker } from '../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../support/harness/scripted-app.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n';

describe('two nodes behind the same ports', () => {
  test('each gets some of the clients and of the linkers, and has a backend port of its own', async () => {
    const app = await ScriptedApp.serving(() => ok('ok'));
    const sharedBackend = { host: '127.0.0.1', port: await freePort() };
    const listen = { port: await freePort() };
    const one = await startLoneNode({ listen, sharedBackend });
    const other = await startLoneNode({ listen, sharedBackend });
    expect(new Set([one.backendPort, other.backendPort, sharedBackend.port]).size).toBe(3);
    expect(other.port).toBe(one.port);
    const links = (): number[] =>
      [one, other].map(({ node }) => [...node.routes.all()].reduce((sum, { slots }) => sum + slots.lenders.length, 0));
    // Which one it is, the kernel decides by the addresses: after so many, both have some but for one case in 2^63.
    for (let i = 0; i < 64; i++) await FakeLinker.dial({ backendPort: sharedBackend.port, appPort: app.port, instance: `i${i}` });
    expect(Math.min(...links())).toBeGreaterThan(0);
    await FakeLinker.dial({ backendPort: one.backendPort, appPort: app.port, instance: 'own' });
    expect(links()[0]).toBeGreaterThan(1);
    expect(await Promise.all(Array.from({ length: 64 }, () => answer(one.port)))).toEqual(new Array(64).fill('200'));
  });

  test('when one leaves, clients and linkers find the other', async () => {
    const app = await ScriptedApp.serving(() => ok('ok'));
    const sharedBackend = { host: '127.0.0.1', port: await freePort() };
    const listen = { port: await freePort() };
    const leaving = await startServedNode(app.port, { listen, sharedBackend });
    const staying = await startServedNode(app.port, { listen, sharedBackend });
    const asked = Array.from({ length: 50 }, () => answer(staying.port));
    const drained = leaving.node.drain(5_000);
    expect(await Promise.all(asked)).toEqual(new Array(50).fill('200'));
    await drained;
    expect(await Promise.all(Array.from({ length: 20 }, () => answer(staying.port)))).toEqual(new Array(20).fill('200'));
    const linker = await FakeLinker.dial({ backendPort: sharedBackend.port, appPort: app.port, instance: 'late' });
    expect(linker.downReason).toBeNull();
  });
});

test('who is connected when a node begins to leave is answered, also if the node has not taken the connection yet', async () => {
  const app = await ScriptedApp.serving(() => ok('ok'));
  const { node, port } = await startServedNode(app.port);
  // In this one turn of the event loop the kernel lets them in and the node, which runs in the same process, takes nobody.
  const sockets = Array.from({ length: 50 }, () => connect(port, '127.0.0.1'));
  for (const socket of sockets) socket.write(GET);
  const answers = Promise.all(sockets.map(statusOf));
  const drained = node.drain(5_000);
  expect(await answers).toEqual(new Array(50).fill('200'));
  await drained;
  await eventually('nobody listens any more', async () => (await answer(port)) === 'ECONNREFUSED');
});

function answer(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(GET);
  return statusOf(socket);
}

/** The status of its answer, or the error. */
async function statusOf(socket: Socket): Promise<string> {
  try {
    const [head] = (await once(socket, 'data')) as [Buffer];
    return head.toString('latin1', 9, 12);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    socket.destroy();
  }
}
