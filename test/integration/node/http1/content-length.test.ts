import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { turns } from '../../../support/settled.ts';

afterEach(closeEverything);

test.each([0, 1, 16_384, 65_535, 65_536, 65_537, 1_000_000])('a body of %i bytes comes back from an echo', async (bytes) => {
  const app = await ScriptedApp.serving(({ body }) => ok(body));
  const { port, linker } = await startServedNode(app.port);
  const client = await connectClient(port);
  const body = Buffer.alloc(bytes, 'some text that shows where it is torn ');
  for (let i = 0; i < 2; i++) {
    client.send(`PUT /${i} HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${bytes}\r\n\r\n`);
    client.send(body);
    expect((await client.response()).body.equals(body)).toBe(true);
  }
  expect((await linker.ends(2)).kept).toBe(2);
});

test('a message with a length is the same however it is split', async () => {
  const app = await ScriptedApp.listen(async (connection) => {
    for (let split = 1; ; split++) {
      const { text } = await connection.request();
      const answer = ok(text);
      connection.send(answer.subarray(0, split));
      await turns(3);
      connection.send(answer.subarray(split));
    }
  });
  const { port } = await startServedNode(app.port);
  const client = await connectClient(port);
  const request = 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 11\r\n\r\nhello world';
  for (let split = 1; split < request.length; split++) {
    client.send(request.slice(0, split));
    await turns(2);
    client.send(request.slice(split));
    expect((await client.response()).text).toBe('hello world');
  }
});

test('a held request’s body is read up to a bound, and all of it arrives', async () => {
  const app = await ScriptedApp.serving(({ body }) => ok(`${body.length}`));
  const { port, linker, node } = await startServedNode(app.port, { concurrency: 1 });
  // The only slot is taken.
  let free = (): void => {};
  linker.intercept = (stream, _flags, link) => {
    stream.handler = {
      where: 'visit',
      fail: () => {},
      onData: () => 'borrowed',
      onEnd: () => {},
      onDrain: () => {},
      onReset: () => link.free(stream, 0, true, false),
    };
    free = () => link.free(stream, 2, true, false);
    return true;
  };
  const first = await connectClient(port);
  first.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n');
  const client = await connectClient(port);
  const body = Buffer.alloc(20_000_000, 'x');
  client.send(`PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${body.length}\r\n\r\n`);
  client.send(body);
  await eventually('a held client', () => node.held === 1);
  await turns(20);
  expect(node.routes.get('*')?.held.bytes).toBeLessThan(150_000);
  linker.intercept = () => false;
  free();
  expect((await first.response()).status).toBe(502);
  expect((await client.response()).text).toBe('20000000');
});
