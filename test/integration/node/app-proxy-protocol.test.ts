/** The PROXY protocol towards the application: whatever clients speak, it never reads another's address. */
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import type { ListenUrl } from '../../../src/config/listen-url.ts';
import { Certificates } from '../../../src/node/listeners/certificates.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode } from '../../support/harness/lone-node.ts';
import { closeAll, ROUTE, startNodeBehindDoor, startSomeLinker, startSomeNode } from '../../support/harness/some-nodes.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../support/http2-client.ts';
import { closeProxiedApps, ProxiedApp, type Speech } from '../../support/proxied-app.ts';
import { proxyV2 } from '../../support/proxy-v2.ts';
import { connectClient } from '../../support/raw-client.ts';
import type { RawSocket } from '../../support/raw-socket.ts';

const CONCURRENCY = 4;
const GET = `GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`;

afterEach(async () => {
  closeHttp2();
  await closeAll();
  await closeEverything();
  closeProxiedApps();
});

async function served(speech: Speech, listen: Partial<ListenUrl> = {}, options: LoneNodeOptions = {}) {
  const app = await ProxiedApp.listen('v2', speech);
  const lone = await startLoneNode({ ...options, listen });
  await startSomeLinker(lone, app, { proxyProtocol: 'v2', concurrency: CONCURRENCY, ...(listen.route && { route: listen.route }) });
  return { ...lone, app };
}

/** What the application should read of this client. */
function endsOf({ socket }: Pick<RawSocket, 'socket'>) {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  return { address: localAddress, port: localPort, toAddress: remoteAddress, toPort: remotePort };
}

async function told(client: RawSocket): Promise<unknown> {
  client.send(GET);
  return JSON.parse((await client.response()).text);
}

async function line(client: RawSocket): Promise<unknown> {
  return JSON.parse(await client.takeThrough('\n'));
}

test('clients of different addresses through one HTTP route are never mixed up', async () => {
  const { port, app, node } = await served('http');
  const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
  // More clients than slots, each on a connection that it keeps.
  const clients = await Promise.all([...addresses, ...addresses].map((address) => connectClient(port, '127.0.0.1', address)));
  const ask = async (client: RawSocket): Promise<void> => {
    for (let i = 0; i < 50; i++) expect(await told(client)).toEqual(endsOf(client));
  };
  await Promise.all(clients.map(ask));
  expect(app.faults).toEqual([]);
  expect(node.held).toBe(0);
});

test('a client alone keeps its connection to the application', async () => {
  const { port, app } = await served('http');
  const client = await connectClient(port);
  for (let i = 0; i < 20; i++) expect(await told(client)).toEqual(endsOf(client));
  expect(app.named).toBe(1);
});

test('the connection with which the linker looks whether the application accepts is nobody’s', async () => {
  const { app } = await served('http');
  expect({ local: app.local, named: app.named, faults: app.faults }).toEqual({ local: 1, named: 0, faults: [] });
});

test('an Upgrade goes on with the client that asked for it', async () => {
  const { port } = await served('http');
  const [other, client] = [await connectClient(port, '127.0.0.1', '127.0.0.2'), await connectClient(port)];
  await told(other);
  client.send(GET.replace('\r\n\r\n', '\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\n'));
  await client.takeThrough('\r\n\r\n');
  expect(await line(client)).toEqual(endsOf(client));
});

describe('a client of HTTP/2', () => {
  test.each([
    ['an application that speaks HTTP/1.1', 'http', {}],
    ['one that speaks HTTP/2 itself', 'h2c', { routes: { [ROUTE]: { protocol: 'h2c' } } }],
  ] as const)('is named to %s, in each of its streams', async (_what, speech, options) => {
    const { port } = await served(speech, {}, options);
    const sessions = ['127.0.0.1', '127.0.0.2'].map((localAddress) => connectHttp2(`http://127.0.0.1:${port}`, { localAddress } as object));
    for (const session of sessions) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => askHttp2(session, { ':authority': ROUTE })));
      const { localAddress, localPort, remoteAddress, remotePort } = session.socket;
      const ends = endsOf({ socket: { localAddress, localPort, remoteAddress, remotePort } as RawSocket['socket'] });
      expect(answers.map(({ text }) => JSON.parse(text) as unknown)).toEqual(answers.map(() => ends));
    }
  });
});

test('an IPv6 client is named', async () => {
  const { port } = await served('http', { host: '::1' });
  const client = await connectClient(port, '::1');
  expect(await told(client)).toEqual({ ...endsOf(client), address: '::1', toAddress: '::1' });
});

test('a client whose TLS ends here is named', async () => {
  const certificate = makeCertificate(ROUTE);
  const { port } = await served('http', { protocol: 'https' }, { certificates: new Certificates([certificate]) });
  certificate.remove();
  const socket = connectTls({ port, host: '127.0.0.1', ca: certificate.cert, servername: ROUTE });
  await once(socket, 'secureConnect');
  const ends = endsOf({ socket });
  socket.write(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  let text = '';
  for await (const piece of socket) text += String(piece);
  expect(JSON.parse(text.slice(text.indexOf('{')))).toEqual(ends);
});

test('a client whose TLS is passed through is named, before its hello', async () => {
  const certificate = makeCertificate(ROUTE);
  const { port } = await served(certificate, { protocol: 'tls' });
  certificate.remove();
  const socket = connectTls({ port, host: '127.0.0.1', ca: certificate.cert, servername: ROUTE });
  const [piece] = (await once(socket, 'data')) as [Buffer];
  expect(JSON.parse(piece.toString())).toEqual(endsOf({ socket }));
  socket.destroy();
});

test('a TCP client is named before it says a word', async () => {
  const { port } = await served('line', { protocol: 'tcp', route: 'db' });
  for (const address of ['127.0.0.1', '127.0.0.2']) {
    const client = await connectClient(port, '127.0.0.1', address);
    expect(await line(client)).toEqual(endsOf(client));
    client.send('echo');
    expect((await client.take(4)).toString()).toBe('echo');
    client.end();
    await client.ended();
  }
});

test('what a PROXY header in front said goes on as it was said', async () => {
  const trustedProxies = [{ address: '127.0.0.0', bits: 8 }];
  const { port } = await served('http', { proxyProtocol: 'v2' }, { trustedProxies });
  const rest = Buffer.from(`20010db8${'0'.repeat(23)}7${'20010db8'}${'0'.repeat(23)}1${'123401bb'}`, 'hex');
  const client = await connectClient(port);
  client.send(proxyV2(0x21, 0x21, rest));
  const said = { address: '2001:db8::7', port: 0x1234, toAddress: '2001:db8::1', toPort: 443 };
  expect(await told(client)).toEqual(said);
  expect(await told(client)).toEqual(said);
  // A proxy that speaks for itself is the client.
  const itself = await connectClient(port);
  itself.send(proxyV2(0x20, 0));
  expect(await told(itself)).toEqual(endsOf(itself));
});

test('a client whose slot is relayed by another node is named', async () => {
  const app = await ProxiedApp.listen('v2', 'http');
  const directory = new MemoryDirectory();
  const home = await startSomeNode({ id: 'home', directory });
  const holder = await startNodeBehindDoor({ id: 'holder', directory });
  await startSomeLinker(home, app, { proxyProtocol: 'v2', concurrency: CONCURRENCY });
  const clients = [await connectClient(holder.port), await connectClient(holder.port, '127.0.0.1', '127.0.0.2')];
  for (let i = 0; i < 10; i++) for (const client of clients) expect(await told(client)).toEqual(endsOf(client));
  expect(home.node.handoffs.results.relayed).toBeGreaterThan(0);
  expect(app.faults).toEqual([]);
});
