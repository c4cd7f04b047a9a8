/** What a TLS client may do before it has said anything that belongs to an application. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Certificates } from '../../../../src/node/listeners/certificates.ts';
import { type Certificate, makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { RawSocket } from '../../../support/raw-socket.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';
const UNRECOGNIZED_NAME = Buffer.from('15030300020270', 'hex');
const DECODE_ERROR = Buffer.from('15030300020232', 'hex');
const HALF_HANDSHAKES = 1_000;

let certificate: Certificate;
const sockets: Socket[] = [];

beforeAll(() => {
  certificate = makeCertificate('app.test');
});

afterAll(() => certificate.remove());

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await closeEverything();
});

/** A node with an https listener and a backend port that speaks TLS, and an application behind it. */
async function https(options: LoneNodeOptions = {}) {
  const app = await ScriptedApp.serving(() => ok('hello'));
  const certificates = new Certificates([certificate]);
  const lone = await startLoneNode({ listen: { protocol: 'https' }, certificates, ...options });
  if (options.backendTls === undefined) await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port });
  return lone;
}

/** A node that passes TLS through to an application that ends it itself. */
async function passing() {
  const lone = await startLoneNode({ listen: { protocol: 'tls' }, routes: { 'app.test': { protocol: 'tcp' } } });
  const app = await ScriptedApp.listen();
  await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test' });
  return { ...lone, app };
}

async function dial(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', servername: 'app.test', ca: certificate.cert, ...options });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  return socket;
}

/** The first bytes of a client of TLS that asks for this name. */
async function helloFor(servername: string): Promise<Buffer> {
  const app = await ScriptedApp.listen();
  const client = connectTls({ port: app.port, host: '127.0.0.1', servername });
  sockets.push(client);
  client.on('error', () => {});
  const connection = await app.next();
  const head = await connection.take(5);
  return Buffer.concat([head, await connection.take(head.readUInt16BE(3))]);
}

async function sendSingly(client: RawSocket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    if (client.ending !== null) return;
    client.send(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function renegotiated(socket: TLSSocket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.on('error', () => resolve(false)).on('close', () => resolve(false));
    socket.renegotiate({}, (error) => resolve(error === null));
  });
}

describe('a client of TLS 1.2 that wants to renegotiate', () => {
  test('is refused', async () => {
    const { port } = await https();
    expect(await renegotiated(await dial(port, { maxVersion: 'TLSv1.2' }))).toBe(false);
  });

  test('does not get that far at the backend port, which speaks TLS 1.3 only', async () => {
    const { backendPort } = await https({ backendTls: certificate });
    await expect(dial(backendPort, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/);
  });
});

describe('a ClientHello that comes in single bytes', () => {
  test('finds its application at a tls listener', async () => {
    const { port, app } = await passing();
    const hello = await helloFor('app.test');
    const client = await connectClient(port);
    await sendSingly(client, hello);
    const connection = await app.next();
    expect(await connection.take(hello.length)).toEqual(hello);
  });

  test('is answered at an https listener', async () => {
    const { port } = await https();
    const client = await connectClient(port);
    await sendSingly(client, await helloFor('app.test'));
    // A handshake record: the ServerHello.
    expect((await client.take(3)).subarray(0, 2)).toEqual(Buffer.from([22, 3]));
  });
});

describe('a tls listener says by an alert', () => {
  test('that nobody has the name', async () => {
    const client = await connectClient((await passing()).port);
    client.send(await helloFor('other.test'));
    expect(await client.take(7)).toEqual(UNRECOGNIZED_NAME);
    await client.ended();
    const socket = connectTls({ port: (await passing()).port, host: '127.0.0.1', servername: 'other.test' });
    sockets.push(socket);
    const [error] = await once(socket, 'error');
    expect(error).toMatchObject({ code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  });

  test('that the hello is none', async () => {
    const client = await connectClient((await passing()).port);
    client.send(Buffer.from('1603010005010000010000', 'hex'));
    expect(await client.take(7)).toEqual(DECODE_ERROR);
    await client.ended();
  });

  test('nothing to a client that does not speak TLS', async () => {
    const client = await connectClient((await passing()).port);
    client.send(GET);
    await client.ended();
    expect(client.receivedBytes).toBe(0);
  });
});

test.each([
  ['https', '160301020001000'],
  ['tls', '160301020001000'],
] as const)(`${HALF_HANDSHAKES} half handshakes at an %s listener end when their time is up, and harm nobody`, async (protocol, hex) => {
  const certificates = new Certificates([certificate]);
  const limits = { beforeRequestTimeoutMs: 1_500, headTimeoutMs: 1_500 };
  const { port, backendPort } = await startLoneNode({ listen: { protocol }, certificates, ...limits, routes: { 'app.test': {} } });
  let ended = 0;
  for (let i = 0; i < HALF_HANDSHAKES; i++) {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {}).once('close', () => ended++);
    // Some begin a hello, some say nothing.
    if (i % 2 === 0) socket.write(Buffer.from(hex, 'hex'));
    if (i % 100 === 99) await once(socket, 'connect');
  }
  const app = await ScriptedApp.serving(() => ok('hello'));
  if (protocol === 'https') {
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    const client = new RawSocket(await dial(port));
    client.send(GET);
    expect((await client.response()).text).toBe('hello');
  } else {
    const client = await connectClient(port);
    client.send(await helloFor('other.test'));
    expect(await client.take(7)).toEqual(UNRECOGNIZED_NAME);
  }
  await eventually('the half ones are closed', () => ended === HALF_HANDSHAKES, 20_000);
});
