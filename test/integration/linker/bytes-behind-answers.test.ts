/** What an application says behind a complete answer must not become the answer to the next request. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { SECRET } from '../../support/harness/fake-node.ts';
import { closeEverything, startLoneNode } from '../../support/harness/lone-node.ts';
import { endLinkers, ROUTE, RunningLinker } from '../../support/harness/run-linker.ts';
import { type AppPeer, closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';
import { connectClient } from '../../support/raw-client.ts';
import { turns } from '../../support/settled.ts';

const ROUNDS = 20;

afterEach(async () => {
  await endLinkers();
  await closeEverything();
  closeTcpApps();
});

/** A node, a linker with one slot and `app`, and a client's connection. */
async function chain(app: TcpApp) {
  const lone = await startLoneNode({ secrets: () => [SECRET] });
  const proxies = [{ host: '127.0.0.1', port: lone.backendPort }];
  await new RunningLinker({ proxies, app: app.address, concurrency: 1 }).linker.ready;
  return connectClient(lone.port);
}

/** Calls `answer` for each request that a connection gets. */
function answering(answer: (peer: AppPeer, path: string) => void): (peer: AppPeer) => void {
  return (peer) => {
    peer.socket.on('data', (chunk: Buffer) => answer(peer, chunk.toString('latin1').split(' ')[1] ?? ''));
    peer.socket.on('end', () => peer.socket.end());
  };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`;
const STOLEN = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen';

describe('a second answer behind the first', () => {
  test('of many parts closes the connection', async () => {
    const body = 'x'.repeat(300_000);
    const app = await TcpApp.start(
      answering((peer, path) =>
        peer.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nX-Path: ${path}\r\n\r\n${body}${STOLEN}`),
      ),
    );
    const client = await chain(app);
    for (let i = 0; i < ROUNDS; i++) {
      client.send(get(`/round-${i}`));
      const answer = await client.response();
      expect(answer.values('x-path')).toEqual([`/round-${i}`]);
      expect(answer.text).toHaveLength(body.length);
    }
    expect(app.peers).toHaveLength(ROUNDS);
  });

  test.each([0, 1, 2, 3, 4])('that comes %i turns before the next request closes the connection and is not its response', async (count) => {
    let sayMore = (): void => {};
    const app = await TcpApp.start(
      answering((peer, path) => {
        peer.answer(path);
        sayMore = () => peer.socket.write(STOLEN);
      }),
    );
    const client = await chain(app);
    for (let i = 0; i < ROUNDS; i++) {
      client.send(get(`/round-${i}`));
      expect((await client.response()).text).toBe(`/round-${i}`);
      sayMore();
      await turns(count);
    }
    expect(app.peers).toHaveLength(ROUNDS);
    expect(app.engagedMax).toBe(1);
  });
});
