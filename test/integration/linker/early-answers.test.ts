/** An application that answers before it has read the whole request, and closes: its client sees the answer. */
import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { SECRET } from '../../support/harness/fake-node.ts';
import { closeEverything, startLoneNode } from '../../support/harness/lone-node.ts';
import { endLinkers, ROUTE, RunningLinker } from '../../support/harness/run-linker.ts';
import { closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';
import { connectClient } from '../../support/raw-client.ts';

const CLIENTS = 30;
const BODY_BYTES = 5_000_000;

afterEach(async () => {
  await endLinkers();
  await closeEverything();
  closeTcpApps();
});

test('a 413 reaches every client that goes on sending, although the application closes without reading on', async () => {
  const app = await TcpApp.start(({ socket }) => {
    socket.once('data', () => {
      socket.pause();
      socket.write('HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large', () => socket.destroy());
    });
  });
  const { port, backendPort, node } = await startLoneNode({ secrets: () => [SECRET] });
  const proxies = [{ host: '127.0.0.1', port: backendPort }];
  await new RunningLinker({ proxies, app: app.address, concurrency: 5 }).linker.ready;
  const statuses = await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const client = await connectClient(port);
      client.send(`POST / HTTP/1.1\r\nHost: ${ROUTE}\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`);
      client.send(Buffer.alloc(BODY_BYTES));
      return (await client.response('POST')).status;
    }),
  );
  expect(statuses).toEqual(Array.from({ length: CLIENTS }, () => 413));
  await eventually('all slots are idle', () => node.active === 0);
});
