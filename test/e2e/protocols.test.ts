/** The protocols of clients: HTTPS that ends at the node, TLS that passes through, plain TCP. And TLS between linkers and nodes. */
import { once } from 'node:events';
import { request } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { ask } from '../support/clients.ts';
import { SECRET } from '../support/cluster.ts';
import { callOf, closeGrpc, grpcClient, NUMBERS, startGrpc } from '../support/grpc.ts';
import { type Running, startProcess } from '../support/processes.ts';

const env = { PULLPROXY_SECRET: SECRET };
const servers: Server[] = [];
let certificate: Certificate;
let node: Running;
let listen: string[];

beforeAll(async () => {
  certificate = makeCertificate('app.test', 'tls.test', 'grpc.test');
  const ports = ['https://127.0.0.1:0', 'tls://127.0.0.1:0', 'tcp://127.0.0.1:0?route=echo.test'].flatMap((url) => ['--listen', url]);
  const tls = ['--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile];
  const backend = ['--backend', '127.0.0.1:0', '--backend-tls-cert', certificate.certFile, '--backend-tls-key', certificate.keyFile];
  node = await startProcess(['node', ...ports, ...tls, ...backend, '--admin', '127.0.0.1:0'], { env });
  listen = node.ready.listen as string[];
});

afterAll(async () => {
  await node?.stop();
  for (const server of servers) server.close();
  certificate?.remove();
});

/** In whatever way: `once` would take an error for one of its own. */
const closed = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve));

const port = (i: number): number => Number(new URL(listen[i] as string).port);

/** A linker in front of an application that runs in this process. */
async function front(route: string, server: Server): Promise<Running> {
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const app = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return startLinker(route, ['--app', app]);
}

function startLinker(route: string, rest: readonly string[]): Promise<Running> {
  const proxy = ['--proxy', node.ready.backend as string, '--proxy-tls-ca', certificate.certFile];
  return startProcess(['linker', ...proxy, '--route', route, '--concurrency', '2', ...rest], { env });
}

describe('https', () => {
  test('ends at the node; the application is told', async () => {
    const linker = await startLinker('app.test', ['--', ...COUNTING_APP]);
    const asked = request({
      host: '127.0.0.1',
      port: port(0),
      servername: 'app.test',
      path: '/headers',
      ca: certificate.cert,
      headers: { host: 'app.test' },
    }).end();
    const [answer] = await once(asked, 'response');
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    const { headers } = JSON.parse(Buffer.concat(chunks).toString()) as { headers: Record<string, string> };
    expect(headers).toMatchObject({ host: 'app.test', 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' });
    expect(await linker.stop()).toEqual({ code: 0, signal: null });
  });
});

describe('gRPC', () => {
  test('goes through to an application that speaks HTTP/2, by TLS that ends at the node', async () => {
    const settings = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ protocol: 'h2c' }) };
    expect((await fetch(`http://${String(node.ready.admin)}/api/v1/routes/grpc.test`, settings)).status).toBeLessThan(300);
    const app = await startGrpc({
      unary: (call: ServerUnaryCall<number, number>, answer: sendUnaryData<number>) => answer(null, call.request + 1),
      count() {},
      sum() {},
      echo() {},
    });
    const linker = await startLinker('grpc.test', ['--app', `127.0.0.1:${app}`]);
    const client = grpcClient(port(0), 'grpc.test', certificate.cert);
    const answers = Array.from(
      { length: 20 },
      (_, i) =>
        new Promise<number | undefined>((resolve, reject) => {
          client.makeUnaryRequest(...callOf(NUMBERS.unary), i + 1, (error, value) => (error === null ? resolve(value) : reject(error)));
        }),
    );
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 20 }, (_, i) => i + 2));
    closeGrpc();
    await linker.stop();
  });
});

describe('tls', () => {
  test('passes through to the application that the client names, which ends it', async () => {
    const app = createTlsServer({ cert: certificate.cert, key: certificate.key, ALPNProtocols: ['echo'] }, (socket) => socket.pipe(socket));
    const linker = await front('tls.test', app);
    const client = connectTls({ host: '127.0.0.1', port: port(1), servername: 'tls.test', ca: certificate.cert, ALPNProtocols: ['echo'] });
    await once(client, 'secureConnect');
    expect(client.alpnProtocol).toBe('echo');
    client.write('hello');
    expect(String((await once(client, 'data'))[0])).toBe('hello');
    client.end();
    await once(client, 'close');
    await linker.stop();
  });

  test('is closed for a name that no application has, and for what is not TLS', async () => {
    const stranger = connectTls({ host: '127.0.0.1', port: port(1), servername: 'nobody.test', ca: certificate.cert });
    stranger.on('error', () => {});
    await closed(stranger);
    const plain = connect(port(1), '127.0.0.1');
    plain.write('GET / HTTP/1.1\r\n\r\n');
    plain.resume();
    await closed(plain);
  });
});

describe('tcp', () => {
  test('passes bytes and half-closes both ways, one slot a connection', async () => {
    const app = createServer({ allowHalfOpen: true }, (socket) => {
      socket.write('welcome ');
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    const linker = await front('echo.test', app);
    const clients = Array.from({ length: 5 }, async (_, i) => {
      const client = connect({ port: port(2), host: '127.0.0.1', allowHalfOpen: true });
      const chunks: Buffer[] = [];
      client.on('data', (chunk: Buffer) => {
        // A client that has closed its side is taken for gone while it is held: this one waits for its slot.
        if (chunks.push(chunk) === 1) client.end(`from ${i}`);
      });
      await once(client, 'end');
      return Buffer.concat(chunks).toString();
    });
    expect((await Promise.all(clients)).sort()).toEqual([0, 1, 2, 3, 4].map((i) => `welcome from ${i}`));
    await linker.stop();
  });
});

describe('the backend port behind TLS', () => {
  test('takes no linker that does not speak it', async () => {
    const plain = connect(Number((node.ready.backend as string).split(':')[1]), '127.0.0.1');
    plain.write('hello');
    plain.resume();
    plain.on('error', () => {});
    await closed(plain);
    await node.logged((line) => line.msg === 'linker refused');
    // The others go on.
    expect((await ask(`http://${String(node.ready.admin)}`, { host: '127.0.0.1', path: '/healthz' })).status).toBe(200);
  });
});
