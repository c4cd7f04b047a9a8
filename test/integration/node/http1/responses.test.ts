import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { undated } from '../../../support/http-message.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { turns } from '../../../support/settled.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';

/** A client and the application's connection, with `request` on its way. */
async function exchange(request = GET) {
  const app = await ScriptedApp.listen();
  const served = await startServedNode(app.port);
  const client = await connectClient(served.port);
  client.send(request);
  const connection = await app.next();
  await connection.request();
  return { ...served, app, client, connection };
}

describe('a response without a body', () => {
  test.each([
    ['to HEAD, with the length of what GET would get', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n', 200],
    ['to HEAD, chunked', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 200],
    ['to HEAD, of unknown length', 'HEAD', 'HTTP/1.1 200 OK\r\n\r\n', 200],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204],
    ['304, with the length of what did not change', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 1000\r\n\r\n', 304],
    ['200 with a length of 0', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 200],
  ])('%s: both connections go on', async (_what, method, answer, status) => {
    const { client, connection, linker } = await exchange(`${method} / HTTP/1.1\r\nHost: app.test\r\n\r\n`);
    connection.send(answer);
    const first = await client.response(method);
    expect(undated(first.head)).toBe(answer);
    expect(first.status).toBe(status);
    client.send(GET);
    await connection.request();
    connection.send(ok('next'));
    expect((await client.response()).text).toBe('next');
    expect((await linker.ends(2)).kept).toBe(2);
  });

  test('keeps no header that some would read a body by', async () => {
    const { client, connection, linker } = await exchange();
    connection.send('HTTP/1.1 204 No Content\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
    expect(undated((await client.response()).head)).toBe('HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n');
    // What looks like a body is nobody's.
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 1, reset: 0 });
    expect(client.unread).toHaveLength(0);
  });
});

describe('interim responses', () => {
  test('pass in front of the response', async () => {
    const { client, connection, linker } = await exchange();
    connection.send('HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n');
    expect((await client.response()).head).toBe('HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n');
    connection.send(`HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n${ok('done').toString()}`);
    expect([(await client.response()).status, (await client.response()).status]).toEqual([102, 103]);
    expect(await client.response()).toMatchObject({ status: 200, text: 'done' });
    expect((await linker.ends(1)).kept).toBe(1);
  });

  test('pass wherever they are split', async () => {
    const answer = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n${ok('done').toString()}`;
    const { client, connection } = await exchange();
    for (let split = 1; split < answer.length; split++) {
      connection.send(answer.slice(0, split));
      await turns(3);
      connection.send(answer.slice(split));
      expect([(await client.response()).status, (await client.response()).status]).toEqual([100, 103]);
      expect((await client.response()).text).toBe('done');
      client.send(GET);
      await connection.request();
    }
  });

  test('100 (Continue) comes when the application says so, and not before', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    const connection = await app.next();
    expect(await connection.takeThrough('\r\n\r\n')).toContain('Expect: 100-continue\r\n');
    await turns(10);
    expect(client.receivedBytes).toBe(0);
    connection.send('HTTP/1.1 100 Continue\r\n\r\n');
    expect((await client.response()).status).toBe(100);
    client.send('hello');
    expect((await connection.take(5)).toString()).toBe('hello');
    connection.send(ok('thanks'));
    expect((await client.response()).text).toBe('thanks');
  });

  test('an expectation that the application refuses ends the connection: the body may come or not', async () => {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    const connection = await app.next();
    await connection.takeThrough('\r\n\r\n');
    connection.send('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n');
    const answer = await client.response();
    expect(answer.status).toBe(417);
    expect(answer.values('connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
    await connection.ended();
  });
});

describe('a response that comes before its request is complete', () => {
  test('arrives whole although the client goes on sending', async () => {
    const { client, connection, linker } = await exchange('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n');
    connection.send(ok());
    await client.response();
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 50000000\r\n\r\n');
    await connection.takeThrough('\r\n\r\n');
    connection.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large');
    const answer = await client.response();
    expect(answer).toMatchObject({ status: 413, text: 'too large' });
    expect(answer.values('connection')).toEqual(['close']);
    // Some clients read only when they have sent everything: no reset must take the answer from them.
    const piece = Buffer.alloc(1_000_000, 'x');
    for (let i = 0; i < 20; i++) {
      client.send(piece);
      await turns();
    }
    expect(await client.ended()).toBe('fin');
    // The application does not get the rest of a request that it has answered as the beginning of another.
    await connection.ended();
    expect(await linker.ends(2)).toEqual({ kept: 1, closed: 1, reset: 0 });
  });

  test('may be complete after the request', async () => {
    const { client, connection } = await exchange(`${GET}POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nhello`);
    connection.send(ok());
    await client.response();
    await connection.takeThrough('\r\n\r\n');
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234');
    await client.takeThrough('01234');
    client.send('world');
    expect((await connection.take(10)).toString()).toBe('helloworld');
    connection.send('56789');
    expect((await client.take(5)).toString()).toBe('56789');
    expect(await client.ended()).toBe('fin');
  });
});

describe('a response under another version', () => {
  test('is HTTP/1.1 for the client', async () => {
    const { client, connection } = await exchange();
    connection.send('HTTP/1.0 200 Fine\r\nContent-Length: 2\r\n\r\nok');
    expect(undated((await client.response()).head)).toBe('HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\n');
  });

  test('of 1.0 is the last one on its connection, unless it says keep-alive', async () => {
    const { client, connection, linker } = await exchange(GET + GET + GET);
    connection.send('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok');
    await client.response();
    await connection.request();
    connection.send('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok');
    const answer = await client.response();
    expect(answer.values('connection')).toEqual([]);
    expect(await linker.ends(2)).toEqual({ kept: 1, closed: 1, reset: 0 });
  });

  test('keeps its reason phrase, or none', async () => {
    const { client, connection } = await exchange(GET + GET);
    connection.send('HTTP/1.1 299 Caf\xe9 au lait\r\nContent-Length: 0\r\n\r\n');
    expect((await client.response()).startLine).toBe('HTTP/1.1 299 Caf\xe9 au lait');
    await connection.request();
    connection.send('HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n');
    expect((await client.response()).startLine).toBe('HTTP/1.1 200');
  });
});

describe('a response whose lines end with a line feed alone', () => {
  const HEAD = 'HTTP/1.1 200 OK\nX-A: 1\r\nX-B: 2\nContent-Length: 7\n\n';

  test('reaches the client with whole line ends, and its body as it came', async () => {
    const { client, connection, linker } = await exchange();
    connection.send(`${HEAD}a\nb\n\nc\n`);
    const answer = await client.response();
    expect(undated(answer.head)).toBe('HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 7\r\n\r\n');
    expect(answer.text).toBe('a\nb\n\nc\n');
    expect((await linker.ends(1)).kept).toBe(1);
  });

  test('is the same however it is split', async () => {
    const { client, connection } = await exchange();
    for (let split = 1; split < HEAD.length; split++) {
      connection.send(HEAD.slice(0, split));
      await turns(2);
      connection.send(`${HEAD.slice(split)}content`);
      expect((await client.response()).text).toBe('content');
      client.send(GET);
      await connection.request();
    }
  });

  test('may follow an interim response and empty lines', async () => {
    const { client, connection } = await exchange();
    connection.send('\nHTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 204 No Content\n\n');
    expect((await client.response()).status).toBe(103);
    expect((await client.response()).status).toBe(204);
  });
});

test('a response of a thousand headers reaches the client whole', async () => {
  const { client, connection } = await exchange();
  connection.send(`HTTP/1.1 200 OK\r\n${'Set-Cookie: a=b\r\n'.repeat(1_000)}Content-Length: 2\r\n\r\nok`);
  const answer = await client.response();
  expect(answer.values('set-cookie')).toHaveLength(1_000);
  expect(answer.text).toBe('ok');
});

describe('the Date of a response', () => {
  test('is added where the application has sent none', async () => {
    const { client, connection } = await exchange();
    const before = Math.floor(Date.now() / 1_000) * 1_000;
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    const [date = ''] = (await client.response()).values('date');
    expect(Date.parse(date)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(date)).toBeLessThanOrEqual(Date.now());
  });

  test("is the application's where it has sent one", async () => {
    const { client, connection } = await exchange();
    connection.send('HTTP/1.1 200 OK\r\nDATE: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n');
    expect((await client.response()).values('date')).toEqual(['Thu, 01 Jan 1970 00:00:00 GMT']);
  });
});

describe('a malformed response', () => {
  const malformed: [string, string][] = [
    ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['HTTP/2', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['RTSP, which the parser takes', 'RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['RTSP with an H in it', 'RTSP/1.1 200 OK\r\nHow: so\r\nContent-Length: 0\r\n\r\n'],
    ['ICE, which the parser takes', 'ICE/1.0 200 OK\r\n\r\nICY'],
    ['RTSP behind empty lines', '\r\n\r\nRTSP/1.0 200 OK\r\n\r\n'],
    ['HTTP/0.9', 'HTTP/0.9 200 OK\r\n\r\n'],
    ['a version in small letters', 'http/1.1 200 OK\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a carriage return alone', 'HTTP/1.1 200 OK\rContent-Length: 0\r\r'],
    ['a line feed alone before a folded line', 'HTTP/1.1 200 OK\nX-A: a\n b\n\n'],
    ['two lengths in lines that end with a line feed', 'HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\nab'],
    ['a line feed alone within chunks', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\na\n0\n\n'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n'],
    ['a NUL', 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a length that is no number', 'HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n'],
    ['a length beyond exact numbers', 'HTTP/1.1 200 OK\r\nContent-Length: 9007199254740993\r\n\r\n'],
    ['another coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['a coding that ends like chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['broken chunks right behind the head', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n'],
    ['101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
    ['a folded header', 'HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
    ['more headers than are looked at', `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(1_025)}\r\n`],
    ['a head without end', `HTTP/1.1 200 OK\r\n${`X-A: ${'b'.repeat(1_000)}\r\n`.repeat(70)}`],
  ];
  test.each(malformed)('(%s) is a 502, and the client’s connection goes on', async (_what, bytes) => {
    const { app, client, connection, linker } = await exchange();
    connection.send(bytes);
    const answer = await client.response();
    expect(answer.status).toBe(502);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=http_protocol_error']);
    await connection.ended();
    expect(await linker.ends(1)).toEqual({ kept: 0, closed: 0, reset: 1 });
    client.send(GET);
    const another = await app.next();
    await another.request();
    another.send(ok('fine'));
    expect((await client.response()).text).toBe('fine');
  });

  test('behind an interim response is a 502', async () => {
    const { client, connection } = await exchange();
    connection.send('HTTP/1.1 103 Early Hints\r\n\r\nRTSP/1.0 100 OK\r\n\r\n');
    expect((await client.response()).status).toBe(103);
    expect((await client.response()).status).toBe(502);
  });

  test('in the middle breaks the client’s connection', async () => {
    const { client, connection } = await exchange();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await client.takeThrough('hello\r\n');
    connection.send('nope\r\n');
    expect(await client.ended()).toBe('reset');
  });
});
