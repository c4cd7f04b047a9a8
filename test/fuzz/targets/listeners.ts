import assert from 'node:assert';
import { isIP } from 'node:net';
import type { ProxyVersion } from '../../../src/config/proxy-protocol.ts';
import { readServerName } from '../../../src/node/listeners/client-hello.ts';
import { readProxyHeader } from '../../../src/node/listeners/proxy-header.ts';
import { latin1, type Target } from '../target.ts';

/** What is decided once more bytes don't change; before, they are asked for. */
function assertSteady<T extends { readonly kind: string }>(read: (bytes: Buffer) => T, bytes: Buffer): T {
  const whole = read(bytes);
  for (let at = 0; at < bytes.length; at += 1 + (at >> 4)) {
    const early = read(bytes.subarray(0, at));
    if (early.kind !== 'incomplete') assert.deepEqual(early, whole);
  }
  return whole;
}

/** A ClientHello that asks for `name`. */
function hello(name: string): Buffer {
  const host = latin1(name);
  const list = Buffer.concat([Buffer.from([0, host.length >> 8, host.length & 255]), host]);
  const sni = Buffer.concat([Buffer.from([0, 0, 0, list.length + 2, 0, list.length]), list]);
  const extensions = Buffer.concat([Buffer.from([0, 43, 0, 3, 2, 3, 4]), sni]);
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0, 0, 2, 0x13, 1, 1, 0, 0, extensions.length]),
    extensions,
  ]);
  const message = Buffer.concat([Buffer.from([1, 0, 0, body.length]), body]);
  return Buffer.concat([Buffer.from([22, 3, 1, 0, message.length]), message]);
}

export const CLIENT_HELLO: Target = {
  name: 'client-hello',
  sources: ['/listeners/client-hello.ts'],
  words: ['\x16\x03\x01', '\x00\x00', '\x01\x00', '\xff\xff', '\x00', 'app.test', '.', '\x00\x04\x00'],
  seeds: [hello('app.test'), hello('a'.repeat(60)), hello('App.Test.'), Buffer.concat([hello('app.test'), hello('b.test')])],
  run(bytes) {
    const name = assertSteady(readServerName, bytes);
    if (name.kind === 'named') assert.match(name.name, /^[a-z0-9._-]{1,253}$/);
  },
};

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';

function runProxy(version: ProxyVersion, bytes: Buffer): void {
  const header = assertSteady((some) => readProxyHeader(version, some), bytes);
  if (header.kind !== 'complete') return;
  assert(header.bytes > 0 && header.bytes <= bytes.length);
  if (header.client === null) return;
  const { address, toAddress } = header.client;
  assert(isIP(address) !== 0 && isIP(address) === isIP(toAddress), `${address} to ${toAddress}`);
}

export const PROXY_HEADER: Target = {
  name: 'proxy-header',
  sources: ['/listeners/proxy-header.ts'],
  words: [
    'PROXY ',
    'TCP4 ',
    'TCP6 ',
    'UNKNOWN',
    '\r\n',
    '192.0.2.1',
    '2001:db8::1',
    ' ',
    '0',
    '65536',
    SIGNATURE,
    '\x21\x11\x00\x0c',
    '\x20\x00\x00\x00',
  ],
  seeds: [
    latin1('PROXY TCP4 192.0.2.1 198.51.100.1 5678 80\r\nGET /'),
    latin1('PROXY TCP6 2001:db8::1 ::1 5678 80\r\n'),
    latin1('PROXY UNKNOWN\r\n'),
    latin1(`${SIGNATURE}\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\x16\x2e\x00\x50`),
    latin1(`${SIGNATURE}\x21\x21\x00\x24${'\x20\x01'.repeat(16)}\x16\x2e\x00\x50`),
    latin1(`${SIGNATURE}\x20\x00\x00\x00`),
  ],
  run(bytes) {
    runProxy('v1', bytes);
    runProxy('v2', bytes);
  },
};
