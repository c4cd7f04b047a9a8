/** Clients whose two directions do not end together: half-closed ones, and those that are answered before they have said all. */
import { eventually } from '../../support/eventually.ts';
import { connectClient } from '../../support/raw-client.ts';
import type { GreedyCase } from './greedy.ts';
import { statusesOf } from './play.ts';
import type { RecordingApp } from './recording-app.ts';

const HOST = 'Host: app.test\r\n';
const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`;
const NEXT = `GET /next HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;
/** More than nginx takes by default. */
const LARGE_BODY_BYTES = 2_000_000;

export const UNEVEN_CASES: readonly GreedyCase[] = [
  {
    what: 'closes its side while it waits for its answer',
    expected: 'closed',
    play: async (port, app) => {
      app.late = [];
      const client = await connectClient(port);
      client.send(`GET /late HTTP/1.1\r\n${HOST}\r\n`);
      await eventually('the application is asked', () => app.late.length > 0);
      client.end();
      const statuses = statusesOf(client);
      // A proxy that has gone on to the end of it has done so by now; the others wait for the answer.
      await Promise.race([statuses, new Promise((resolve) => setTimeout(resolve, 500))]);
      for (const answer of app.late) answer();
      return said(await statuses);
    },
  },
  {
    what: 'closes its side within its body',
    expected: 'closed',
    play: async (port, app) => {
      app.seen = [];
      const client = await connectClient(port);
      client.end(`POST / HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nhello`);
      return said(await statusesOf(client)) + seenOf(app);
    },
  },
  {
    what: 'is answered before it has sent its body, and sends it, another request in it and one behind it',
    expected: '200, closed',
    play: (port, app) => answeredEarly(port, app, `Content-Length: ${5 + SMUGGLED.length}`, 'hello', SMUGGLED),
  },
  {
    what: 'the same with chunks',
    expected: '200, closed',
    play: (port, app) => {
      const size = SMUGGLED.length.toString(16);
      return answeredEarly(port, app, 'Transfer-Encoding: chunked', '5\r\nhello\r\n', `${size}\r\n${SMUGGLED}\r\n0\r\n\r\n`);
    },
  },
  {
    what: 'is answered before it has sent its body, and goes on with a chunk that is none',
    expected: '200, closed',
    play: (port, app) => answeredEarly(port, app, 'Transfer-Encoding: chunked', '5\r\nhello\r\n', `z\r\n${SMUGGLED}`),
  },
  {
    what: 'asks with Expect: 100-continue and sends no body',
    expected: '408',
    play: async (port) => {
      const client = await connectClient(port);
      client.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
      return said(await statusesOf(client));
    },
  },
  {
    what: `sends a body of ${LARGE_BODY_BYTES / 1_000_000} MB`,
    expected: '200 → POST /',
    play: async (port, app) => {
      app.seen = [];
      const client = await connectClient(port);
      client.send(`POST / HTTP/1.1\r\n${HOST}Connection: close\r\nContent-Length: ${LARGE_BODY_BYTES}\r\n\r\n`);
      client.send(Buffer.alloc(LARGE_BODY_BYTES));
      return said(await statusesOf(client)) + seenOf(app);
    },
  },
];

/** The `rest` of the body, and another request, come when the answer is there. */
async function answeredEarly(port: number, app: RecordingApp, framing: string, first: string, rest: string): Promise<string> {
  app.seen = [];
  const client = await connectClient(port);
  client.send(`POST /early HTTP/1.1\r\n${HOST}${framing}\r\n\r\n${first}`);
  await client.until(() => client.unread.includes('early') || client.ending !== null, 'the answer', true);
  client.send(rest + NEXT);
  const statuses = await statusesOf(client);
  const strange = app.seen.filter((request) => request !== 'GET /next' && !request.startsWith('POST /early'));
  const closed = statuses.length === 0 || app.seen.includes('GET /next') ? '' : ', closed';
  return said(statuses) + closed + (strange.length === 0 ? '' : ` → ${strange.join(' + ')}`);
}

function said(statuses: readonly string[]): string {
  return statuses.length === 0 ? 'closed' : statuses.join(', ');
}

function seenOf({ seen }: RecordingApp): string {
  return seen.length === 0 ? '' : ` → ${seen.join(' + ')}`;
}
