/** Memory is used again all along the way: nobody may ever see a byte of what another one sent, however slowly anybody reads. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { COUNTING_APP, WS_ECHO_APP } from '../support/apps/apps.ts';
import { type ClusterNode, startLinker, startNode } from '../support/cluster.ts';
import type { Running } from '../support/processes.ts';

jest.setTimeout(120_000);

const CLIENTS = 24;
const ROUNDS = 12;

let node: ClusterNode;
let linkers: Running[] = [];

beforeAll(async () => {
  // On a busy machine this process may not get to send for longer than a node waits for a client.
  node = await startNode(null, ['--head-timeout', '2m', '--stall-timeout', '2m']);
  linkers = [
    await startLinker({ proxies: [node.backend], route: 'app.test', concurrency: 8, app: COUNTING_APP }, { LIMIT: '8' }),
    await startLinker({ proxies: [node.backend], route: 'ws.test', concurrency: CLIENTS, app: WS_ECHO_APP }),
  ];
});

afterAll(async () => {
  for (const linker of linkers) await linker.stop();
  await node?.stop();
});

/** Bytes that only this client sends, and only in this round: each eight of them say where they belong. */
function bytesOf(client: number, round: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 8 <= length; at += 8) {
    bytes.writeUInt32BE(client * 1_000 + round, at);
    bytes.writeUInt32BE(at, at + 4);
  }
  return bytes;
}

/** From a few bytes to more than a window. */
function lengthOf(client: number, round: number): number {
  return [200, 3_000, 5_000, 20_000, 70_000, 300_000, 900_000][(client + round) % 7] as number;
}

/** Sends a body in pieces and has it echoed, reading slowly where `slow`. */
async function echo(client: number, round: number, slow: boolean): Promise<void> {
  const sent = bytesOf(client, round, lengthOf(client, round));
  const upload = request(new URL('/echo', node.url), { method: 'POST', headers: { host: 'app.test', 'content-length': sent.length } });
  const answered = once(upload, 'response') as Promise<[IncomingMessage]>;
  for (let at = 0; at < sent.length; at += 100_000) {
    if (!upload.write(sent.subarray(at, at + 100_000))) await once(upload, 'drain');
    if (client % 3 === 0) await turn();
  }
  upload.end();
  const [answer] = await answered;
  const parts: Buffer[] = [];
  for await (const part of answer) {
    parts.push(part as Buffer);
    if (slow) await delay(2);
  }
  const received = Buffer.concat(parts);
  if (!received.equals(sent))
    throw new Error(`client ${client}, round ${round}: ${received.length} bytes came of ${sent.length}, or others`);
}

test('bodies of every size come back as they were sent, to fast and slow clients side by side', async () => {
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      for (let round = 0; round < ROUNDS; round++) await echo(client, round, client % 2 === 0);
    }),
  );
});

test('requests that come in pieces, or several at once, are each answered with what they asked for', async () => {
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const socket = connect(Number(new URL(node.url).port), '127.0.0.1');
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      const closed = once(socket, 'close').then(() => {
        throw new Error(`client ${client}: its connection ended after ${text.slice(-500)}`);
      });
      const requests = Array.from({ length: ROUNDS }, (_one, round) => {
        const body = `body of ${client} in ${round}, `.repeat(1 + ((client * round) % 40));
        // A response that begins before its request is complete would end the connection.
        return `POST /collect HTTP/1.1\r\nHost: app.test\r\nX-Client: ${client}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      });
      const all = requests.join('');
      const step = 1 + ((client * 97) % 700);
      for (let at = 0; at < all.length; at += step) {
        socket.write(all.slice(at, at + step));
        if (at % 3 === 0) await turn();
      }
      const wanted = requests.map((one) => one.slice(one.indexOf('\r\n\r\n') + 4)).join('');
      while (bodiesOf(text).length < wanted.length) await Promise.race([once(socket, 'data'), closed]);
      expect(bodiesOf(text)).toBe(wanted);
      closed.catch(() => {});
      socket.destroy();
    }),
  );
});

test('messages of WebSockets come back to whom they belong, to those who do not read for a while, too', async () => {
  await Promise.all(
    Array.from({ length: 8 }, async (_, client) => {
      const socket = new WebSocket(node.url.replace('http', 'ws'), { headers: { host: 'ws.test' }, perMessageDeflate: false });
      await once(socket, 'open');
      const received: Buffer[] = [];
      socket.on('message', (message: Buffer) => received.push(message));
      const isSlow = client % 2 === 0;
      // More than kernels take for somebody who does not read.
      const messages = isSlow ? 16 : 200;
      if (isSlow) socket.pause();
      for (let round = 0; round < messages; round++) socket.send(bytesOf(client, round, isSlow ? 1_000_000 : 50_000));
      if (isSlow) await delay(500);
      socket.resume();
      while (received.length < messages) await once(socket, 'message');
      for (const [round, message] of received.entries()) expect(message.equals(bytesOf(client, round, message.length))).toBe(true);
      socket.terminate();
    }),
  );
});

/** The bodies of all answers that are complete. */
function bodiesOf(text: string): string {
  let bodies = '';
  for (let at = 0; ; ) {
    const end = text.indexOf('\r\n\r\n', at);
    if (end === -1) return bodies;
    const head = text.slice(at, end);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    if (length !== undefined) {
      if (text.length < end + 4 + Number(length)) return bodies;
      bodies += text.slice(end + 4, end + 4 + Number(length));
      at = end + 4 + Number(length);
      continue;
    }
    let chunk = end + 4;
    let body = '';
    for (;;) {
      const line = text.indexOf('\r\n', chunk);
      const size = line === -1 ? Number.NaN : Number.parseInt(text.slice(chunk, line), 16);
      if (Number.isNaN(size) || text.length < line + 2 + size + 2) return bodies;
      body += text.slice(line + 2, line + 2 + size);
      chunk = line + 2 + size + 2;
      if (size === 0) break;
    }
    bodies += body;
    at = chunk;
  }
}
