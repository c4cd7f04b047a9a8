import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { turns } from '../../../support/settled.ts';

afterEach(() => {
  closeHttp2();
  return closeEverything();
});

/** Methods of WebDAV, of caches, of other protocols, in lower case, of one letter, with every character that a token may have. */
const METHODS = ['LIST', 'VERSION-CONTROL', 'BASELINE-CONTROL', 'BREW', 'PLAY', 'BAN', 'get', 'X', "!#$%&'*+.^_`|~0", 'A'.repeat(1_024)];

async function startEcho() {
  const app = await ScriptedApp.serving(({ startLine, text }) => ok(`${startLine}|${text}`));
  return startServedNode(app.port);
}

describe('a method that the parser does not know', () => {
  test.each(METHODS)('%s passes as it came', async (method) => {
    const { port } = await startEcho();
    const client = await connectClient(port);
    client.send(`${method} /a?b=c HTTP/1.1\r\nHost: app.test\r\n\r\n`);
    expect((await client.response()).text).toBe(`${method} /a?b=c HTTP/1.1|`);
    client.send(`${method} / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello`);
    expect((await client.response()).text).toBe(`${method} / HTTP/1.1|hello`);
    client.send(`${method} / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);
    expect((await client.response()).text).toBe(`${method} / HTTP/1.1|hello`);
    // The parser is used again: its next request is what it says it is.
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await client.response()).text).toBe('GET / HTTP/1.1|');
  });

  test('of 1025 bytes is refused', async () => {
    const { port } = await startEcho();
    const client = await connectClient(port);
    client.send(`${'A'.repeat(1_025)} / HTTP/1.1\r\nHost: app.test\r\n\r\n`);
    expect((await client.response()).status).toBe(400);
  });

  test('passes however it is split', async () => {
    const { port } = await startEcho();
    const client = await connectClient(port);
    const request = 'LIST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nok';
    for (let split = 1; split < request.length; split++) {
      client.send(request.slice(0, split));
      await turns(2);
      client.send(request.slice(split));
      expect((await client.response()).text).toBe('LIST /a HTTP/1.1|ok');
    }
  });

  test('passes with an absolute target, and from an HTTP/1.0 client', async () => {
    const { port } = await startEcho();
    const client = await connectClient(port);
    client.send('LIST http://app.test/a HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await client.response()).text).toBe('LIST /a HTTP/1.1|');
    client.send('LIST /a HTTP/1.0\r\n\r\n');
    expect((await client.response()).text).toBe('LIST /a HTTP/1.1|');
  });

  test('passes over HTTP/2', async () => {
    const { port } = await startEcho();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    expect((await askHttp2(session, { ':method': 'LIST', ':path': '/a' })).text).toBe('LIST /a HTTP/1.1|');
  });

  test('passes within a head as long as may be', async () => {
    const { port } = await startEcho();
    const client = await connectClient(port);
    client.send(`LIST /a HTTP/1.1\r\nHost: app.test\r\nX-Long: ${'a'.repeat(16_000)}\r\n\r\n`);
    expect((await client.response()).text).toBe('LIST /a HTTP/1.1|');
  });
});
