import { once } from 'node:events';
import { connect } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Certificates } from '../../../../src/node/listeners/certificates.ts';
import { type Certificate, makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { RawSocket } from '../../../support/raw-socket.ts';
import { turns } from '../../../support/settled.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';

let certificate: Certificate;
const sockets: TLSSocket[] = [];

beforeAll(() => {
  certificate = makeCertificate('app.test');
});

afterAll(() => certificate.remove());

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await closeEverything();
});

async function served(app: ScriptedApp, connectionsMax = 100) {
  const listen = { protocol: 'https' as const };
  const pem = { cert: certificate.cert, key: certificate.key };
  return startServedNode(app.port, { listen, certificates: new Certificates([pem]), connectionsMax });
}

async function dial(port: number, options: ConnectionOptions = {}): Promise<RawSocket> {
  const halfOpen = { allowHalfOpen: true, servername: 'app.test', ca: certificate.cert };
  const socket = connectTls({ port, host: '127.0.0.1', ...halfOpen, ...options });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  return new RawSocket(socket);
}

describe('an https port', () => {
  test('serves as the http port does, and says https to the application', async () => {
    const app = await ScriptedApp.serving(({ body, values }) => ok(body.length > 0 ? body : values('x-forwarded-proto').join()));
    const { port } = await served(app);
    const client = await dial(port, { ALPNProtocols: ['http/1.1'] });
    expect((client.socket as TLSSocket).alpnProtocol).toBe('http/1.1');
    client.send(GET + GET);
    expect([(await client.response()).text, (await client.response()).text]).toEqual(['https', 'https']);
    const body = Buffer.alloc(1_000_000, 'x');
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`);
    client.send(body);
    expect((await client.response()).body.equals(body)).toBe(true);
    expect(await client.ended()).toBe('fin');
  });

  test('stops the application of a slow client, and tells it when that is gone', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await served(app);
    const client = await dial(port);
    client.pause();
    client.send(GET);
    const connection = await app.next();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
    for (let i = 0; i < 40; i++) connection.send(Buffer.alloc(1_000_000));
    await turns(100);
    expect(connection.socket.writableLength).toBeGreaterThan(5_000_000);
    client.socket.destroy();
    await connection.ended();
    await eventually('the slot is idle', () => node.active === 0);
  });

  test('tunnels an Upgrade, with half-closes', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker } = await served(app);
    const client = await dial(port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    const connection = await app.next();
    await connection.takeThrough('\r\n\r\n');
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    await client.takeThrough('\r\n\r\n');
    client.end('last words');
    expect((await connection.take(10)).toString()).toBe('last words');
    expect(await connection.ended()).toBe('fin');
    connection.end('bye');
    expect((await client.take(3)).toString()).toBe('bye');
    expect((await linker.ends(1)).closed).toBe(1);
  });

  test('breaks the connection of a response that is broken off', async () => {
    const app = await ScriptedApp.listen();
    const { port, node } = await served(app);
    const client = await dial(port);
    client.send(GET);
    const connection = await app.next();
    await connection.request();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello');
    await client.takeThrough('hello');
    connection.reset();
    await client.ended();
    await eventually('the slot is idle', () => node.active === 0);
  });

  test('lives on when clients speak no TLS, an old one, or leave in the handshake', async () => {
    const app = await ScriptedApp.serving(() => ok('hello'));
    const { port } = await served(app);
    const plain = new RawSocket(connect({ port, host: '127.0.0.1', allowHalfOpen: true }));
    plain.send(GET);
    await plain.ended();
    plain.socket.destroy();
    const leaves = connect(port, '127.0.0.1');
    await once(leaves, 'connect');
    leaves.write(Buffer.from('160301', 'hex'));
    leaves.resetAndDestroy();
    await expect(dial(port, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })).rejects.toThrow();
    const client = await dial(port);
    client.send(GET);
    expect((await client.response()).text).toBe('hello');
  });
});
