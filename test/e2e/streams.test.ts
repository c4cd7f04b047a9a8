/** Long and large things through node and linker, each a process of its own. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { COUNTING_APP, WS_ECHO_APP } from '../support/apps/apps.ts';
import { type ClusterNode, metric, startLinker, startNode } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import type { Running } from '../support/processes.ts';

jest.setTimeout(180_000);

const GIGABYTE = 1_073_741_824;
/** What a first transfer makes the garbage collector accept as its working room; the large ones must do with that. */
const WARM_UP_BYTES = 268_435_456;
const GROWTH_BYTES_MAX = 64 * 1_048_576;

let node: ClusterNode;
let linker: Running;

beforeAll(async () => {
  node = await startNode(null);
  linker = await startLinker({ proxies: [node.backend], route: 'app.test', concurrency: 2, app: COUNTING_APP }, { LIMIT: '2' });
});

afterAll(async () => {
  await linker?.stop();
  await node?.stop();
});

function rss(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;
}

/** Runs something large; returns by how much node and linker grew at most meanwhile. */
async function growthDuring(work: () => Promise<void>): Promise<number> {
  const before = rss(node.pid) + rss(linker.pid);
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, rss(node.pid) + rss(linker.pid));
  }, 50);
  await work().finally(() => clearInterval(watch));
  return most - before;
}

async function download(bytes: number): Promise<number> {
  let received = 0;
  const asked = request(new URL(`/bytes?n=${bytes}`, node.url), { headers: { host: 'app.test' } }).end();
  const [answer] = await once(asked, 'response');
  for await (const chunk of answer) received += (chunk as Buffer).length;
  return received;
}

describe('large bodies', () => {
  test('a download of 1 GB arrives whole at constant memory', async () => {
    await download(WARM_UP_BYTES);
    let received = 0;
    const grown = await growthDuring(async () => {
      received = await download(GIGABYTE);
    });
    expect(received).toBe(GIGABYTE);
    expect(grown).toBeLessThan(GROWTH_BYTES_MAX);
  });

  test('an upload of 1 GB comes back whole at constant memory', async () => {
    let received = 0;
    const grown = await growthDuring(async () => {
      const upload = request(new URL('/echo', node.url), { method: 'POST', headers: { host: 'app.test', 'content-length': GIGABYTE } });
      const answered = once(upload, 'response');
      const block = Buffer.alloc(65_536, 'u');
      const send = async () => {
        for (let sent = 0; sent < GIGABYTE; sent += block.length) if (!upload.write(block)) await once(upload, 'drain');
        upload.end();
      };
      const sending = send();
      const [answer] = await answered;
      for await (const chunk of answer) received += (chunk as Buffer).length;
      await sending;
    });
    expect(received).toBe(GIGABYTE);
    expect(grown).toBeLessThan(GROWTH_BYTES_MAX);
  });
});

describe('long streams', () => {
  test('an event stream stays open for a minute, and its end frees the slot', async () => {
    const asked = request(new URL('/sse?ms=500', node.url), { headers: { host: 'app.test' } }).end();
    const [answer] = await once(asked, 'response');
    let events = 0;
    answer.on('data', (chunk: Buffer) => {
      events += chunk.toString().split('data:').length - 1;
    });
    answer.on('error', () => {});
    await eventually('a minute of events has come', () => events >= 120, 90_000);
    expect(await metric(node, 'pullproxy_active', { route: 'app.test' })).toBe(1);
    asked.destroy();
    await eventually('the slot is free', async () => (await metric(node, 'pullproxy_active', { route: 'app.test' })) === 0);
  });

  test('a WebSocket carries text and binary both ways and keeps its close code', async () => {
    const echo = await startLinker({ proxies: [node.backend], route: 'ws.test', concurrency: 1, app: WS_ECHO_APP });
    const socket = new WebSocket(node.url.replace('http', 'ws'), { headers: { host: 'ws.test' } });
    await once(socket, 'open');
    for (const message of ['hello', Buffer.alloc(300_000, 7)]) {
      socket.send(message);
      const [data] = await once(socket, 'message');
      expect(Buffer.compare(data as Buffer, Buffer.from(message))).toBe(0);
    }
    expect(await metric(node, 'pullproxy_active', { route: 'ws.test' })).toBe(1);
    socket.close(4001, 'enough');
    const [code] = await once(socket, 'close');
    expect(code).toBe(4001);
    await eventually('the slot is free', async () => (await metric(node, 'pullproxy_active', { route: 'ws.test' })) === 0);
    expect(await echo.stop()).toEqual({ code: 0, signal: null });
  });
});
