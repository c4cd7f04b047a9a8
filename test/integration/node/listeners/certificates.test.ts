import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Certificates } from '../../../../src/node/listeners/certificates.ts';
import { type Certificate, makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import { RawSocket } from '../../../support/raw-socket.ts';

const made: Certificate[] = [];
const sockets: TLSSocket[] = [];
let first: Certificate;
let wild: Certificate;
let exact: Certificate;

function make(...names: string[]): Certificate {
  const certificate = makeCertificate(...names);
  made.push(certificate);
  return certificate;
}

beforeAll(() => {
  first = make('app.test', 'www.app.test');
  wild = make('*.shop.test');
  exact = make('one.shop.test');
});

afterAll(() => {
  for (const certificate of made) certificate.remove();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await closeEverything();
});

async function served(
  certificates: Certificates,
  options: { connectionsMax?: number; beforeRequestTimeoutMs?: number } = {},
): Promise<number> {
  const app = await ScriptedApp.serving(() => ok('hello'));
  return (await startServedNode(app.port, { listen: { protocol: 'https' }, certificates, ...options })).port;
}

async function dial(port: number, servername: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false, ...options });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  return socket;
}

async function nameAt(port: number, servername: string): Promise<string | undefined> {
  const socket = await dial(port, servername);
  return socket.getPeerCertificate().subjectaltname?.split(', ')[0]?.slice('DNS:'.length);
}

describe('of several certificates', () => {
  test.each([
    ['app.test', 'app.test'],
    ['WWW.App.Test', 'app.test'],
    ['two.shop.test', '*.shop.test'],
    ['one.shop.test', 'one.shop.test'],
    ['deep.two.shop.test', 'app.test'],
    ['shop.test', 'app.test'],
    ['unknown.test', 'app.test'],
    ['', 'app.test'],
  ])('a client that asks for %j gets that of %s', async (asked, name) => {
    expect(await nameAt(await served(new Certificates([first, wild, exact])), asked)).toBe(name);
  });
});

describe('certificates that are replaced', () => {
  test('serve new connections, while those that are open go on', async () => {
    const certificates = new Certificates([first, wild]);
    const port = await served(certificates);
    const before = new RawSocket(await dial(port, 'app.test'));
    certificates.replace([exact, make('*.shop.test', 'new.test')]);
    expect([await nameAt(port, 'app.test'), await nameAt(port, 'new.test')]).toEqual(['one.shop.test', '*.shop.test']);
    before.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await before.response()).text).toBe('hello');
  });

  test('under load cost nobody a connection', async () => {
    const certificates = new Certificates([first, wild]);
    const port = await served(certificates);
    const asks = async (): Promise<string> => {
      const client = new RawSocket(await dial(port, 'app.test'));
      client.send('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n');
      return (await client.response()).text;
    };
    const answers: string[] = [];
    for (let round = 0; round < 10; round++) {
      const asked = Array.from({ length: 20 }, asks);
      certificates.replace(round % 2 === 0 ? [exact, wild] : [first, wild]);
      answers.push(...(await Promise.all(asked)));
    }
    expect(answers.filter((text) => text !== 'hello')).toEqual([]);
  });

  test('by what is none, or has another one’s key, stay', async () => {
    const certificates = new Certificates([first]);
    const port = await served(certificates);
    expect(() => certificates.replace([{ cert: exact.cert, key: first.key }])).toThrow();
    expect(() => certificates.replace([first, { cert: Buffer.from('x'), key: Buffer.from('x') }])).toThrow();
    expect(await nameAt(port, 'app.test')).toBe('app.test');
  });
});

describe('a session', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('of %s is resumed, also after certificates were replaced', async (version) => {
    const certificates = new Certificates([first, wild]);
    const port = await served(certificates);
    const options = { minVersion: version, maxVersion: version };
    const socket = connect({ port, host: '127.0.0.1', servername: 'a.shop.test', rejectUnauthorized: false, ...options });
    sockets.push(socket);
    const [session] = (await once(socket, 'session')) as [Buffer];
    expect(socket.isSessionReused()).toBe(false);
    expect((await dial(port, 'a.shop.test', { session, ...options })).isSessionReused()).toBe(true);
    certificates.replace([first, wild]);
    expect((await dial(port, 'a.shop.test', { session, ...options })).isSessionReused()).toBe(true);
  });
});

describe('a handshake', () => {
  test('counts as a connection while it lasts', async () => {
    const port = await served(new Certificates([first]), { connectionsMax: 1 });
    const silent = await connectClient(port);
    const second = await connectClient(port);
    await second.ended();
    silent.reset();
    await eventually('room for another', () =>
      dial(port, 'app.test').then(
        () => true,
        () => false,
      ),
    );
  });

  test('that does not go on is ended', async () => {
    const port = await served(new Certificates([first]), { beforeRequestTimeoutMs: 100 });
    const silent = await connectClient(port);
    silent.send(Buffer.from('160301', 'hex'));
    await silent.ended();
  });

  test('prefers forward secrecy, also in TLS 1.2', async () => {
    const socket = await dial(await served(new Certificates([first])), 'app.test', { maxVersion: 'TLSv1.2' });
    expect(socket.getCipher().name).toMatch(/^ECDHE-.*(GCM|CHACHA20)/);
  });
});
