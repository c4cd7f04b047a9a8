/** Anything may come, from clients and from applications: the node lives on, nobody gets what is another's, and nothing stays occupied. */
import { afterEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parserCounts } from '../../../../src/node/http1/head/llhttp.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const REQUESTS = [
  'GET /a HTTP/1.1\r\nHost: app.test\r\nX-Id: hostile\r\n\r\n',
  'POST /b HTTP/1.1\r\nHost: app.test\r\nX-Id: hostile\r\nContent-Length: 11\r\n\r\nhello world',
  'POST /c HTTP/1.1\r\nHost: app.test\r\nX-Id: hostile\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1\r\nhello\r\n0\r\nT: 1\r\n\r\n',
  'HEAD /d HTTP/1.1\r\nHost: app.test\r\nX-Id: hostile\r\nConnection: keep-alive\r\n\r\n',
  'GET /e HTTP/1.0\r\nX-Id: hostile\r\nConnection: keep-alive\r\n\r\n',
  'GET /f HTTP/1.1\r\nHost: app.test\r\nX-Id: hostile\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
];
const ANSWERS = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello',
  'HTTP/1.0 304 Not Modified\r\nConnection: keep-alive\r\n\r\n',
];
const TOKENS = [
  '\r\n',
  '\n',
  '\r',
  ' ',
  '\t',
  ':',
  ',',
  '\0',
  '0',
  'ffff',
  '\xff',
  'Transfer-Encoding: chunked\r\n',
  'Content-Length: 3\r\n',
  'Connection: close\r\n',
];

/** A message or several, changed in a few places. */
function mutated(messages: readonly string[]): fc.Arbitrary<string> {
  const change = fc.record({
    at: fc.nat(600),
    cut: fc.nat(12),
    put: fc.oneof(fc.constant(''), fc.constantFrom(...TOKENS), fc.string({ maxLength: 4 })),
  });
  return fc
    .record({ texts: fc.array(fc.constantFrom(...messages), { minLength: 1, maxLength: 4 }), changes: fc.array(change, { maxLength: 3 }) })
    .map(({ texts, changes }) =>
      changes.reduce((text, { at, cut, put }) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + put + text.slice(place + cut);
      }, texts.join('')),
    );
}

const ends = fc.constantFrom('end' as const, 'reset' as const, 'wait' as const);
const pieces = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 });

test('a stranger’s bytes do not reach another client’s answers', async () => {
  const app = await ScriptedApp.listen(async (connection) => {
    for (;;) {
      const request = await connection.request();
      connection.send(ok(`${request.startLine} ${request.values('x-id').join()}`));
    }
  });
  const { port, node } = await startServedNode(app.port, { concurrency: 4 });
  const victim = await connectClient(port);
  let asked = 0;
  await fc.assert(
    fc.asyncProperty(mutated(REQUESTS), pieces, ends, async (text, sizes, end) => {
      const hostile = await connectClient(port);
      for (let at = 0, i = 0; at < text.length; i++) {
        const size = sizes[i % sizes.length] as number;
        hostile.send(text.slice(at, at + size));
        at += size;
        if (i < 6) await turns(1);
      }
      const id = `victim-${asked++}`;
      victim.send(`GET /${id} HTTP/1.1\r\nHost: app.test\r\nX-Id: ${id}\r\n\r\n`);
      if (end === 'end') hostile.end();
      if (end === 'reset') hostile.reset();
      expect((await victim.response()).text).toBe(`GET /${id} HTTP/1.1 ${id}`);
      hostile.socket.destroy();
    }),
    { numRuns: 400 },
  );
  victim.end();
  await eventually('nothing is occupied', () => node.active === 0 && node.held === 0);
  await eventually('every parser is back', () => parserCounts().alive === parserCounts().pooled);
}, 60_000);

test('an application’s bytes do not reach another request’s answer', async () => {
  let script = '';
  let end: 'end' | 'reset' | 'wait' = 'wait';
  const app = await ScriptedApp.listen(async (connection) => {
    for (;;) {
      const request = await connection.request();
      const [id = ''] = request.values('x-id');
      if (id !== '') {
        connection.send(ok(id));
        continue;
      }
      connection.send(script);
      if (end === 'end') connection.end();
      if (end === 'reset') connection.reset();
    }
  });
  const { port, node } = await startServedNode(app.port, { concurrency: 2 });
  const victim = await connectClient(port);
  let asked = 0;
  await fc.assert(
    fc.asyncProperty(mutated(ANSWERS), fc.constantFrom('GET', 'HEAD', 'POST'), ends, async (text, method, how) => {
      script = text;
      end = how;
      const client = await connectClient(port);
      client.send(`${method} / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n`);
      await client.until(() => client.receivedBytes > 0 || client.ending !== null || how === 'wait', 'some answer', true);
      await turns(6);
      const id = `victim-${asked++}`;
      victim.send(`GET / HTTP/1.1\r\nHost: app.test\r\nX-Id: ${id}\r\n\r\n`);
      expect((await victim.response()).text).toBe(id);
      client.socket.destroy();
    }),
    { numRuns: 400 },
  );
  victim.end();
  await eventually('nothing is occupied', () => node.active === 0 && node.held === 0);
  await eventually('every parser is back', () => parserCounts().alive === parserCounts().pooled);
}, 60_000);
