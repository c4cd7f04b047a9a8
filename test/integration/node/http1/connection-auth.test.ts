import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { readRequest } from '../../../support/http-message.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { RawSocket } from '../../../support/raw-socket.ts';

const servers = new Set<Server>();

afterEach(() => {
  for (const server of servers) server.close();
  servers.clear();
  closeHttp2();
  return closeEverything();
});

/** An application that authenticates its connections: after credentials it serves that user whatever comes on the same connection. */
async function listenBinding(scheme: string): Promise<number> {
  const server = createServer((socket) => {
    void serve(new RawSocket(socket), scheme).catch(() => socket.destroy());
  });
  servers.add(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

async function serve(connection: RawSocket, scheme: string): Promise<void> {
  let user = 'nobody';
  for (;;) {
    const request = await readRequest(connection);
    const [credentials = ''] = request.values('authorization');
    if (credentials !== '') user = credentials.split(' ').at(-1) ?? '';
    if (user === 'nobody' && request.startLine.includes('/private'))
      connection.send(`HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${scheme}\r\nContent-Length: 0\r\n\r\n`);
    else connection.send(ok(user));
  }
}

const SCHEMES = ['NTLM', 'Negotiate', 'negotiate', 'Basic realm="a", NTLM', 'Negotiate, Basic realm="a"', 'Kerberos'];

describe('an application that authenticates its connection', () => {
  test.each(SCHEMES)('by %s serves no stranger as that user', async (scheme) => {
    const { port } = await startServedNode(await listenBinding(scheme));
    const client = await connectClient(port);
    client.send('GET /private HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await client.response()).status).toBe(401);
    const bare = /\b(ntlm|negotiate|kerberos)\b/i.exec(scheme)?.[0] ?? '';
    client.send(`GET /private HTTP/1.1\r\nHost: app.test\r\nAuthorization: ${bare} alice\r\n\r\n`);
    expect((await client.response()).text).toBe('alice');
    for (let i = 0; i < 5; i++) {
      const stranger = await connectClient(port);
      stranger.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
      expect((await stranger.response()).text).toBe('nobody');
    }
  });

  test('serves no stranger as that user when both speak HTTP/2 to the node', async () => {
    const { port } = await startServedNode(await listenBinding('Negotiate'));
    const alice = connectHttp2(`http://127.0.0.1:${port}`);
    expect((await askHttp2(alice, { ':path': '/private', authorization: 'Negotiate alice' })).text).toBe('alice');
    expect((await askHttp2(connectHttp2(`http://127.0.0.1:${port}`), { ':path': '/' })).text).toBe('nobody');
  });
});

/** How the linker was told to leave the application's connection after one request and its answer. */
async function ends(request: string, status: string, headers: string) {
  const app = await ScriptedApp.serving(() => `HTTP/1.1 ${status}\r\n${headers}Content-Length: 0\r\n\r\n`);
  const { port, linker } = await startServedNode(app.port);
  const client = await connectClient(port);
  client.send(`GET / HTTP/1.1\r\nHost: app.test\r\n${request}\r\n`);
  expect((await client.response()).values('connection')).toEqual([]);
  return linker.ends(1);
}

describe("the application's connection", () => {
  test.each([
    ['a 401 with NTLM', '', '401 Unauthorized', 'WWW-Authenticate: NTLM TlRMTVNTUAAC\r\n'],
    ['a 407 with Negotiate', '', '407 Proxy Authentication Required', 'Proxy-Authenticate: Negotiate\r\n'],
    ['a second challenge line', '', '401 Unauthorized', 'WWW-Authenticate: Basic realm="a"\r\nWWW-Authenticate: \tNTLM\r\n'],
    ['credentials of Negotiate', 'Authorization: Negotiate YII\r\n', '200 OK', ''],
    ['credentials for a proxy', 'Proxy-Authorization: ntlm TlRM\r\n', '200 OK', ''],
    ['a final answer that carries the token', '', '200 OK', 'WWW-Authenticate: Negotiate oYG2\r\n'],
    ['the word of IIS that it stays authenticated', '', '200 OK', 'Persistent-Auth: true\r\n'],
  ])('is closed after %s', async (_what, request, status, headers) => {
    expect(await ends(request, status, headers)).toEqual({ kept: 0, closed: 1, reset: 0 });
  });

  test.each([
    ['a 401 with Basic', '', '401 Unauthorized', 'WWW-Authenticate: Basic realm="NTLM"\r\n'],
    ['a 401 with Bearer', '', '401 Unauthorized', 'WWW-Authenticate: Bearer scope="negotiate-x"\r\n'],
    ['credentials of Basic', 'Authorization: Basic bnRsbTpu\r\n', '200 OK', ''],
    ['credentials of Bearer', 'Authorization: Bearer ntlm\r\n', '200 OK', ''],
    ['credentials of a scheme that begins alike', 'Authorization: NTLM-Like x\r\n', '200 OK', ''],
    ['empty credentials', 'Authorization: \r\n', '200 OK', ''],
  ])('is kept after %s', async (_what, request, status, headers) => {
    expect(await ends(request, status, headers)).toEqual({ kept: 1, closed: 0, reset: 0 });
  });
});
