import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { connect } from 'node:tls';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readServerName } from '../../../../src/node/listeners/client-hello.ts';

/** The first bytes of a real TLS client. */
async function helloOf(options: { servername?: string; ALPNProtocols?: string[] }): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  client.on('error', () => {});
  const [socket] = await once(server, 'connection');
  const [hello] = await once(socket, 'data');
  client.destroy();
  socket.destroy();
  server.close();
  return hello as Buffer;
}

/** The same handshake message, cut into records of so many bytes. */
function inRecords(hello: Buffer, bytes: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += bytes) {
    const part = message.subarray(at, at + bytes);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

describe('the server name of a TLS client', () => {
  test('is read from a real hello, lower-cased', async () => {
    expect(readServerName(await helloOf({ servername: 'App.Example.COM', ALPNProtocols: ['h2', 'http/1.1'] }))).toEqual({
      kind: 'named',
      name: 'app.example.com',
    });
  });

  test('is absent when the client does not say one', async () => {
    expect(readServerName(await helloOf({}))).toEqual({ kind: 'unnamed' });
  });

  test('is not known before the whole hello is there, at whatever byte it is cut', async () => {
    const hello = await helloOf({ servername: 'app.example.com' });
    for (let bytes = 0; bytes < hello.length; bytes++) expect(readServerName(hello.subarray(0, bytes)).kind).toBe('incomplete');
  });

  test('is read when the hello is there, whatever comes behind it', async () => {
    const hello = await helloOf({ servername: 'app.example.com' });
    const named = { kind: 'named', name: 'app.example.com' };
    for (const behind of ['\x16\x03\x01', '\x16\x01\x01\x00\x01x', 'GET /', '\x17\x03\x03\x00\x01x'])
      expect(readServerName(Buffer.concat([hello, Buffer.from(behind, 'latin1')]))).toEqual(named);
  });

  test('is looked for a few times only while a hello of one-byte records comes in single bytes', async () => {
    const hello = inRecords(await helloOf({ servername: 'app.example.com', ALPNProtocols: Array<string>(200).fill('x'.repeat(8)) }), 1);
    let looks = 0;
    let found = readServerName(hello.subarray(0, 0));
    for (let bytes = 1; bytes <= hello.length; bytes++) {
      if (found.kind !== 'incomplete' || bytes < found.bytesMin) continue;
      found = readServerName(hello.subarray(0, bytes));
      looks++;
    }
    expect(found).toEqual({ kind: 'named', name: 'app.example.com' });
    expect(hello.length).toBeGreaterThan(10_000);
    expect(looks).toBeLessThan(100);
  });

  test.each([1, 7, 100])('is found in a hello that is cut into records of %i bytes', async (bytes) => {
    const hello = inRecords(await helloOf({ servername: 'app.example.com' }), bytes);
    expect(readServerName(hello)).toEqual({ kind: 'named', name: 'app.example.com' });
  });

  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['another record', Buffer.from([23, 3, 1, 0, 1, 0])],
    ['an empty record', Buffer.from([22, 3, 1, 0, 0])],
    ['a record longer than records are', Buffer.from([22, 3, 1, 255, 255])],
    ['another handshake message', Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
    ['a hello with nothing in it', Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0])],
  ])('is not looked for in %s', (_what, bytes) => {
    expect(readServerName(bytes)).toEqual({ kind: 'malformed' });
  });

  test('never throws, whatever comes', async () => {
    const hello = await helloOf({ servername: 'app.example.com' });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { maxLength: 20 }), fc.nat(hello.length), (changes, length) => {
        const bytes = Buffer.from(hello.subarray(0, length));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        expect(['named', 'unnamed', 'incomplete', 'malformed']).toContain(readServerName(bytes).kind);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void readServerName(Buffer.from(bytes))));
  });
});
