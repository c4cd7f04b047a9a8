import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../support/lone-node.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { ok, ScriptedApp } from '../../../support/scripted-app.ts';

afterEach(closeEverything);

const HOST = 'Host: app.test\r\n';

/** Each could be understood in two ways, by two servers in a row: that is what requests are smuggled by. */
const AMBIGUOUS: [string, string][] = [
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['no Host with an absolute target', 'GET http://app.test/ HTTP/1.1\r\n\r\n'],
  ['two Hosts', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ['two different Hosts', `GET / HTTP/1.1\r\n${HOST}Host: other.test\r\n\r\n`],
  ['a list as Host', 'GET / HTTP/1.1\r\nHost: app.test, other.test\r\n\r\n'],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: app.test/x\r\n\r\n'],
  ['a Host with user information', 'GET / HTTP/1.1\r\nHost: user@app.test\r\n\r\n'],
  ['a Host with a space', 'GET / HTTP/1.1\r\nHost: app .test\r\n\r\n'],
  ['a malformed Host next to an absolute target', 'GET http://app.test/ HTTP/1.1\r\nHost: a/b\r\n\r\n'],
  ['an absolute target with user information', `GET http://user@app.test/ HTTP/1.1\r\n${HOST}\r\n`],
  ['an absolute target without host', `GET http:///x HTTP/1.1\r\n${HOST}\r\n`],
  ['a target of another scheme', `GET ftp://app.test/ HTTP/1.1\r\n${HOST}\r\n`],
  ['a relative target', `GET x HTTP/1.1\r\n${HOST}\r\n`],
  ['an asterisk for GET', `GET * HTTP/1.1\r\n${HOST}\r\n`],
  ['a fragment', `GET /a#b HTTP/1.1\r\n${HOST}\r\n`],
  ['CONNECT', `CONNECT app.test:80 HTTP/1.1\r\n${HOST}\r\n`],
  ['an unknown method', `BREW / HTTP/1.1\r\n${HOST}\r\n`],
  ['a method in lower case', `get / HTTP/1.1\r\n${HOST}\r\n`],
  ['HTTP/0.9', 'GET /\r\n\r\n'],
  ['HTTP/2.0', `GET / HTTP/2.0\r\n${HOST}\r\n`],
  ['HTTP/1.2', `GET / HTTP/1.2\r\n${HOST}\r\n`],
  ['another protocol', `OPTIONS / RTSP/1.0\r\n${HOST}\r\n`],
  ['ICE', `SOURCE / ICE/1.0\r\n${HOST}\r\n`],
  ['two spaces in front of the target', `GET  / HTTP/1.1\r\n${HOST}\r\n`],
  ['two spaces behind the target', `GET /  HTTP/1.1\r\n${HOST}\r\n`],
  ['a tab in the request line', `GET\t/ HTTP/1.1\r\n${HOST}\r\n`],
  ['a space in the target', `GET /a b HTTP/1.1\r\n${HOST}\r\n`],
  ['a space in front of the method', ` GET / HTTP/1.1\r\n${HOST}\r\n`],
  ['a space in front of the first header', `GET / HTTP/1.1\r\n ${HOST}\r\n`],
  ['a length and chunks', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['chunks and a length', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
  ['two lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
  ['two equal lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ['a list of lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5, 5\r\n\r\nhello`],
  ['a length with a sign', `POST / HTTP/1.1\r\n${HOST}Content-Length: +5\r\n\r\nhello`],
  ['a length in hexadecimal', `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x5\r\n\r\nhello`],
  ['an empty length', `POST / HTTP/1.1\r\n${HOST}Content-Length: \r\n\r\n`],
  ['a length beyond exact numbers', `POST / HTTP/1.1\r\n${HOST}Content-Length: 9007199254740993\r\n\r\n`],
  ['the coding identity', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: identity\r\n\r\n`],
  ['another coding in front of chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['another coding behind chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
  ['chunked twice', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  ['two codings', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a coding with a comma too many', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n`],
  ['an empty coding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n\r\n`],
  ['a coding in quotes', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: "chunked"\r\n\r\n`],
  ['a no-break space behind chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n`],
  ['a tab behind chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n`],
  ['a vertical tab in front of chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`],
  ['a coding in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a folded header', `GET / HTTP/1.1\r\n${HOST}X-A: b\r\n c\r\n\r\n`],
  ['a folded coding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
  ['line feeds alone', 'GET / HTTP/1.1\nHost: app.test\n\n'],
  ['a line feed alone behind a header', 'GET / HTTP/1.1\r\nHost: app.test\nX-A: b\r\n\r\n'],
  ['a line feed alone at the end', `GET / HTTP/1.1\r\n${HOST}\n`],
  ['a carriage return alone', `GET / HTTP/1.1\r\nHost: app.test\rX-A: b\r\n\r\n`],
  ['a NUL in a value', `GET / HTTP/1.1\r\n${HOST}X-A: a\0b\r\n\r\n`],
  ['a NUL in a name', `GET / HTTP/1.1\r\n${HOST}X\0A: ab\r\n\r\n`],
  ['a NUL in the target', `GET /\0 HTTP/1.1\r\n${HOST}\r\n`],
  ['a control character in a value', `GET / HTTP/1.1\r\n${HOST}X-A: a\x01b\r\n\r\n`],
  ['a space in front of the colon', `GET / HTTP/1.1\r\n${HOST}X-A : b\r\n\r\n`],
  ['a space in front of the coding’s colon', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
  ['a header without colon', `GET / HTTP/1.1\r\n${HOST}X-A\r\n\r\n`],
  ['a header without name', `GET / HTTP/1.1\r\n${HOST}: b\r\n\r\n`],
];

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
