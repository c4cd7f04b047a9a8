import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Certificates } from '../../../../src/node/listeners/certificates.ts';
import { makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { proxyV2 } from '../../../support/proxy-v2.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { RawSocket } from '../../../support/raw-socket.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';
const V1 = 'PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n';
const V2 = proxyV2(0x21, 0x11, Buffer.from([192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80]));
const trustedProxies = [{ address: '127.0.0.0', bits: 8 }];

async function served(options: LoneNodeOptions) {
  const app = await ScriptedApp.serving(({ values }) => ok(values('x-forwarded-for').join()));
  return startServedNode(app.port, { trustedProxies, ...options });
}

describe('a listener behind a PROXY protocol', () => {
  test.each([
    ['v1', Buffer.from(V1)],
    ['v2', V2],
  ] as const)('tells the application of the client that %s names', async (proxyProtocol, header) => {
    const { port } = await served({ listen: { proxyProtocol } });
    const client = await connectClient(port);
    client.send(Buffer.concat([header, Buffer.from(GET)]));
    expect((await client.response()).text).toBe('192.0.2.7');
    client.send(GET);
    expect((await client.response()).text).toBe('192.0.2.7');
  });

  test('takes the header byte by byte', async () => {
    const { port } = await served({ listen: { proxyProtocol: 'v1' } });
    const client = await connectClient(port);
    for (const byte of V1 + GET) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.response()).text).toBe('192.0.2.7');
  });

  test('names the proxy itself where that speaks for itself', async () => {
    const { port } = await served({ listen: { proxyProtocol: 'v2' } });
    const client = await connectClient(port);
    client.send(Buffer.concat([proxyV2(0x20, 0), Buffer.from(GET)]));
    expect((await client.response()).text).toBe('127.0.0.1');
  });

  test.each([
    ['none is trusted', []],
    ['others are trusted', [{ address: '192.0.2.0', bits: 24 }]],
  ])('refuses connections when %s', async (_what, proxies) => {
    const { port } = await served({ listen: { proxyProtocol: 'v1' }, trustedProxies: proxies });
    const client = await connectClient(port);
    client.send(V1 + GET);
    await client.ended();
    expect(client.receivedBytes).toBe(0);
  });

  test.each([GET, V2.toString('latin1'), 'PROXY TCP4 nobody\r\n'])('refuses what begins otherwise: %j', async (bytes) => {
    const { port } = await served({ listen: { proxyProtocol: 'v1' } });
    const client = await connectClient(port);
    client.send(bytes);
    await client.ended();
    expect(client.receivedBytes).toBe(0);
  });

  test('does not wait for the header for ever, nor for one that ends', async () => {
    const { port } = await served({ listen: { proxyProtocol: 'v1' }, beforeRequestTimeoutMs: 100 });
    const slow = await connectClient(port);
    slow.send('PROXY');
    await slow.ended();
    const ends = await connectClient(port);
    ends.end('PROXY');
    await ends.ended();
  });

  test('counts connections whose header is awaited', async () => {
    const { port } = await served({ listen: { proxyProtocol: 'v1' }, connectionsMax: 1 });
    const silent = await connectClient(port);
    const second = await connectClient(port);
    await second.ended();
    silent.reset();
    await eventually('room for another', async () => {
      const client = await connectClient(port);
      client.send(V1 + GET);
      return client.response().then(
        ({ status }) => status === 200,
        () => false,
      );
    });
  });

  test('of TCP passes on what follows the header', async () => {
    const app = await ScriptedApp.listen();
    const listen = { protocol: 'tcp', route: 'db', proxyProtocol: 'v2' } as const;
    const { port, backendPort } = await startLoneNode({ listen, routes: { db: {} }, trustedProxies });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'db' });
    const client = await connectClient(port);
    client.send(Buffer.concat([V2, Buffer.from('hello')]));
    const connection = await app.next();
    expect((await connection.take(5)).toString()).toBe('hello');
    connection.end('bye');
    expect((await client.take(3)).toString()).toBe('bye');
  });

  test('of HTTPS takes it before the handshake, also when both come at once', async () => {
    const certificate = makeCertificate('app.test');
    const { port } = await served({ listen: { protocol: 'https', proxyProtocol: 'v1' }, certificates: new Certificates([certificate]) });
    certificate.remove();
    const raw = await connectClient(port);
    // As the handshake's first bytes are sent by the same turn, they come in one piece.
    raw.send(V1);
    raw.socket.removeAllListeners('data');
    const secure = connectTls({ socket: raw.socket, servername: 'app.test', ca: certificate.cert });
    const client = new RawSocket(secure);
    await once(secure, 'secureConnect');
    client.send(GET);
    expect((await client.response()).text).toBe('192.0.2.7');
  });
});

describe('what is said of forwarding', () => {
  const SAID =
    'X-Forwarded-For: 198.51.100.1\r\nx-forwarded-for: 198.51.100.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public.test\r\n' +
    'X-Forwarded-Port: 443\r\nX_Forwarded_For: 203.0.113.1\r\nForwarded: for=198.51.100.1;proto=https\r\n';

  async function seen(proxies: LoneNodeOptions['trustedProxies']) {
    const app = await ScriptedApp.listen();
    const { port } = await startServedNode(app.port, { trustedProxies: proxies });
    const client = await connectClient(port);
    client.send(`GET / HTTP/1.1\r\nHost: app.test\r\n${SAID}\r\n`);
    return (await app.next()).request();
  }

  test('by a trusted proxy is passed on, with that proxy added', async () => {
    const { values, head } = await seen(trustedProxies);
    expect(values('x-forwarded-for')).toEqual(['198.51.100.1, 198.51.100.2, 127.0.0.1']);
    expect(values('x-forwarded-proto')).toEqual(['https']);
    expect(values('x-forwarded-host')).toEqual(['public.test']);
    expect(values('x-forwarded-port')).toEqual(['443']);
    expect(values('forwarded')).toEqual(['for=198.51.100.1;proto=https, for=127.0.0.1;proto=http;host="app.test"']);
    expect(head).not.toContain('203.0.113.1');
  });

  test('by anybody else is replaced', async () => {
    const { values, head } = await seen([{ address: '10.0.0.0', bits: 8 }]);
    expect(values('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(values('x-forwarded-proto')).toEqual(['http']);
    expect(values('x-forwarded-host')).toEqual(['app.test']);
    expect(head).not.toMatch(/198\.51|203\.0|forwarded-port|^forwarded:/im);
  });
});
