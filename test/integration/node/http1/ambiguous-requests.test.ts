import { afterEach, describe, expect, test } from '@jest/globals';
import { AMBIGUOUS } from '../../../support/ambiguous-requests.ts';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeEverything);

const HOST = 'Host: app.test\r\n';

describe('a request with', () => {
  test.each(AMBIGUOUS)('%s is refused, and nothing behind it is served', async (_what, bytes) => {
    const app = await ScriptedApp.serving(() => ok('served'));
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(Buffer.from(`${bytes}GET /smuggled HTTP/1.1\r\n${HOST}\r\n`, 'latin1'));
    const answer = await client.response();
    expect(answer.status).toBe(400);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=http_request_error']);
    expect(answer.values('connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
    expect(client.unread).toHaveLength(0);
    expect(linker.opened).toEqual([]);
  });
});

describe('a request that only looks unusual is served', () => {
  test.each([
    ['white space around the coding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\t chunked  \r\n\r\n0\r\n\r\n`],
    ['white space around the length', `POST / HTTP/1.1\r\n${HOST}Content-Length:\t 5  \r\n\r\nhello`],
    ['the coding in capitals', `POST / HTTP/1.1\r\n${HOST}transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n`],
    ['an empty line in front', `\r\nGET / HTTP/1.1\r\n${HOST}\r\n`],
    ['a length of 0 for GET', `GET / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`],
    ['a body for GET', `GET / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`],
    ['an empty header', `GET / HTTP/1.1\r\n${HOST}X-A:\r\n\r\n`],
    ['bytes beyond ASCII in a value', `GET / HTTP/1.1\r\n${HOST}X-A: caf\xe9\r\n\r\n`],
    ['an unusual method', `M-SEARCH / HTTP/1.1\r\n${HOST}\r\n`],
  ])('(%s)', async (_what, bytes) => {
    const app = await ScriptedApp.serving(() => ok('served'));
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(bytes);
    expect((await client.response()).text).toBe('served');
    client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    expect((await client.response()).text).toBe('served');
  });
});

test('a header whose name has an underscore for a hyphen, where a hyphen would mean something, does not go further', async () => {
  const app = await ScriptedApp.serving(({ headers }) => ok(headers.map(([name]) => name).join()));
  const { port } = await startServedNode(app.port);
  const client = await connectClient(port);
  const disguised = 'Transfer_Encoding: chunked\r\nContent_Length: 5\r\nX_Forwarded_For: 1.2.3.4\r\nx-forwarded_host: evil\r\n';
  client.send(`POST / HTTP/1.1\r\n${HOST}${disguised}X_Own: fine\r\n\r\n`);
  const { text } = await client.response();
  expect(text).toContain('X_Own');
  expect(text).not.toMatch(/Transfer_Encoding|Content_Length|X_Forwarded_For|x-forwarded_host/);
});
