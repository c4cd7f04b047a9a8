/** What clients do that costs a proxy memory, places or time. */
import { eventually } from '../../support/eventually.ts';
import { connectClient } from '../../support/raw-client.ts';
import type { RawSocket } from '../../support/raw-socket.ts';
import { settled } from '../../support/settled.ts';
import { statusesOf } from './play.ts';
import { PER_ADDRESS_MAX } from './proxies.ts';
import { LARGE_BYTES, type RecordingApp } from './recording-app.ts';

export interface GreedyCase {
  readonly what: string;
  readonly play: (port: number, app: RecordingApp) => Promise<string>;
  /** What pullproxy does, in the table's words. */
  readonly expected: string;
}

const HOST = 'Host: app.test\r\n';
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`;
/** With answers of 20 KB it is more than all sockets on the way may hold. */
const PIPELINED = 3_000;

export const GREEDY_CASES: readonly GreedyCase[] = [
  {
    what: 'connects and says nothing',
    expected: 'closed',
    play: async (port) => wordOf(await statusesOf(await connectClient(port))),
  },
  {
    what: 'sends its head a line every 100 ms',
    expected: '408',
    play: (port) => dripping(port, `GET / HTTP/1.1\r\n${HOST}`, 'X-B: b\r\n'),
  },
  {
    what: 'sends a part of its body and no more',
    expected: '408',
    play: async (port) => {
      const client = await connectClient(port);
      client.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nhello`);
      return wordOf(await statusesOf(client));
    },
  },
  {
    what: 'is silent after an answer',
    expected: '200',
    play: async (port) => {
      const client = await connectClient(port);
      client.send(GET);
      return wordOf(await statusesOf(client));
    },
  },
  {
    what: 'does not read its answer of 40 MB',
    expected: 'cut off, the application is free',
    play: async (port, app) => {
      app.large = [];
      const client = await connectClient(port);
      client.pause();
      client.discards = true;
      client.send(`GET /large HTTP/1.1\r\n${HOST}\r\n`);
      await eventually('the application is asked', () => app.large.length > 0);
      const free = await eventually('the application is free', () => app.isFree, 5_000).then(
        () => true,
        () => false,
      );
      await stays(3_500);
      client.resume();
      await client.until(() => client.ending !== null, 'the end', true);
      client.socket.destroy();
      return `${client.receivedBytes > LARGE_BYTES ? 'served' : 'cut off'}, the application is ${free ? 'free' : 'occupied'}`;
    },
  },
  {
    what: `asks ${PIPELINED} times without reading`,
    expected: 'is served a part, then cut off',
    play: async (port, app) => {
      app.seen = [];
      const client = await connectClient(port);
      client.pause();
      client.discards = true;
      client.send(`GET /page HTTP/1.1\r\n${HOST}\r\n`.repeat(PIPELINED));
      await settled(() => app.seen.length);
      const served = app.seen.length;
      await stays(3_500);
      client.resume();
      await client.until(() => client.ending !== null, 'the end', true);
      client.socket.destroy();
      return `is served ${served < PIPELINED ? 'a part' : 'all'}${app.seen.length < PIPELINED ? ', then cut off' : ''}`;
    },
  },
  {
    what: `connects ${2 * PER_ADDRESS_MAX} times, where one address may ${PER_ADDRESS_MAX} times`,
    expected: `${PER_ADDRESS_MAX} are served, the others closed`,
    play: async (port) => {
      const clients: RawSocket[] = [];
      for (let i = 0; i < 2 * PER_ADDRESS_MAX; i++) {
        const client = await connectClient(port).catch(() => null);
        if (client === null) continue;
        clients.push(client);
        client.send(GET);
        await client.until(() => client.receivedBytes > 0 || client.ending !== null, 'an answer or the end', true);
      }
      const answers = clients.map((client) => client.unread.toString('latin1').slice(9, 12));
      while (answers.length < 2 * PER_ADDRESS_MAX) answers.push('');
      for (const { socket } of clients) socket.destroy();
      await stays(500);
      const served = answers.filter((status) => status === '200').length;
      const refused = [...new Set(answers.filter((status) => status !== '200'))].map((status) => (status === '' ? 'closed' : status));
      return refused.length === 0 ? 'all are served' : `${served} are served, the others ${refused.join(', ')}`;
    },
  },
];

async function dripping(port: number, first: string, more: string): Promise<string> {
  const client = await connectClient(port);
  client.send(first);
  const drip = setInterval(() => client.send(more), 100);
  return wordOf(await statusesOf(client).finally(() => clearInterval(drip)));
}

/** The proxies' patience is one second, and is looked at now and then: it passes. */
function stays(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function wordOf(statuses: readonly string[]): string {
  return statuses.length === 0 ? 'closed' : `${statuses.join(', ')}`;
}
