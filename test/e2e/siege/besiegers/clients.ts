/** Clients of HTTP/1.1, HTTP/2, TLS and the PROXY protocol that do what no client does. */
import { setImmediate as turn } from 'node:timers/promises';
import { bytesOf, PREFACE, parseScript } from '../../../fuzz/http2/script.ts';
import { REQUEST_HEAD } from '../../../fuzz/targets/http1.ts';
import { HTTP2_CLIENT } from '../../../fuzz/targets/http2-client.ts';
import { CLIENT_HELLO, PROXY_HEADER } from '../../../fuzz/targets/listeners.ts';
import { frameBytes } from '../../../support/http2-frames.ts';
import { Tenant } from '../place.ts';
import { type Besieger, type Field, inputOf, open, pause, say } from './besieger.ts';

const HOST = `Host: ${Tenant.EVIL}\r\n`;
const PATIENCE_MS = 3_000;

export function clients({ ports, random }: Field): Besieger[] {
  const http = (): number => random.pick(ports.http);
  const anywhere = (): number => random.pick([...ports.http, ...ports.https, ...ports.proxied, ...ports.backend, ...ports.admin]);
  /** Half of it is for the honest tenant's name. */
  const aimed = (text: string): string => text.replaceAll('app.test', random.next() < 0.5 ? Tenant.WEB : Tenant.EVIL);
  const evil = (text: string): string => text.replaceAll('app.test', Tenant.EVIL).replaceAll('h2c.test', Tenant.EVIL_HTTP2);
  return [
    {
      name: 'requests that mean two things',
      perSecond: 10,
      atOnceMax: 20,
      strike: () => say(http(), aimed(inputOf(REQUEST_HEAD, random).toString('latin1')), PATIENCE_MS),
    },
    {
      name: 'requests for the evil application',
      perSecond: 8,
      atOnceMax: 20,
      strike: () => say(http(), `${random.pick(['GET', 'POST', 'HEAD'])} / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`, PATIENCE_MS),
    },
    {
      name: 'hosts that nobody knows',
      perSecond: 10,
      atOnceMax: 10,
      strike: () =>
        say(http(), `GET / HTTP/1.1\r\nHost: ${random.next().toString(36).slice(2)}.test\r\nConnection: close\r\n\r\n`, PATIENCE_MS),
    },
    {
      name: 'heads that come byte by byte',
      perSecond: 2,
      atOnceMax: 20,
      strike: async () => {
        const socket = open(http(), 8_000);
        for (const letter of `GET / HTTP/1.1\r\n${HOST}X-A: ${'b'.repeat(100)}`) {
          if (socket.destroyed) return;
          socket.write(letter);
          await pause(50);
        }
        socket.destroy();
      },
    },
    {
      name: 'bodies that come byte by byte',
      perSecond: 1,
      atOnceMax: 10,
      strike: async () => {
        const socket = open(http(), 20_000);
        socket.write(`POST / HTTP/1.1\r\n${HOST}Content-Length: 100000\r\n\r\n`);
        for (let i = 0; i < 60 && !socket.destroyed; i++) {
          socket.write('a');
          await pause(300);
        }
        socket.destroy();
      },
    },
    {
      name: 'answers that are not read',
      perSecond: 2,
      atOnceMax: 15,
      strike: async () => {
        const socket = open(http(), 8_000);
        socket.pause();
        socket.write(`GET /large HTTP/1.1\r\n${HOST}\r\n`.repeat(20));
        await new Promise((resolve) => socket.once('close', resolve));
      },
    },
    {
      name: 'connections that come and go',
      perSecond: 2,
      atOnceMax: 4,
      strike: async () => {
        for (let i = 0; i < 20; i++) {
          const socket = open(anywhere(), 500);
          socket.once('connect', () => (random.next() < 0.5 ? socket.resetAndDestroy() : socket.end()));
        }
      },
    },
    {
      name: 'frames of HTTP/2 in any order',
      perSecond: 12,
      atOnceMax: 20,
      strike: async () => {
        const socket = open(http(), PATIENCE_MS);
        socket.write(PREFACE);
        for (const step of parseScript(Buffer.from(evil(inputOf(HTTP2_CLIENT, random).toString('latin1')), 'latin1'))) {
          if (step.kind === 'wait') for (let i = 0; i < 10; i++) await turn();
          const said = bytesOf(step);
          if (said !== null && socket.writable) socket.write(said);
        }
        await pause(200);
        socket.destroy();
      },
    },
    {
      name: 'floods of HTTP/2',
      perSecond: 1,
      atOnceMax: 3,
      strike: () => say(http(), Buffer.concat([Buffer.from(PREFACE), frameBytes(4, 0, 0), flood(random.pick(FLOODS))]), PATIENCE_MS),
    },
    {
      name: 'half handshakes of TLS',
      perSecond: 5,
      atOnceMax: 50,
      strike: async () => {
        const socket = open(random.pick(ports.https), 5_000);
        const hello = inputOf(CLIENT_HELLO, random);
        const single = random.next() < 0.3;
        for (let at = 0; at < hello.length && !socket.destroyed; at += single ? 1 : hello.length) {
          socket.write(hello.subarray(at, single ? at + 1 : hello.length));
          if (single) await pause(5);
        }
        await new Promise((resolve) => socket.once('close', resolve));
      },
    },
    {
      name: 'PROXY headers of any kind',
      perSecond: 5,
      atOnceMax: 20,
      strike: () => say(random.pick(ports.proxied), inputOf(PROXY_HEADER, random), PATIENCE_MS),
    },
    {
      name: 'noise at every port',
      perSecond: 5,
      atOnceMax: 20,
      strike: () => say(anywhere(), Buffer.from(Array.from({ length: 200 }, () => Math.floor(random.next() * 256))), PATIENCE_MS),
    },
    {
      name: 'the admin port taken',
      perSecond: 0.2,
      atOnceMax: 2,
      strike: async () => {
        const port = random.pick(ports.admin);
        for (let i = 0; i < 100; i++) open(port, 4_000, '127.0.0.1');
        await pause(4_000);
      },
    },
  ];
}

const REQUEST = Buffer.concat(
  [
    [':method', 'GET'],
    [':path', '/'],
    [':scheme', 'http'],
    [':authority', Tenant.EVIL],
  ].flatMap(([name = '', value = '']) => [
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]),
);
const FLOODS = ['reset', 'settings', 'ping', 'empty data', 'continuation', 'priority', 'stalled windows', 'window'] as const;

/** A thousand frames of one kind. */
function flood(kind: (typeof FLOODS)[number]): Buffer {
  const thousand = (make: (i: number) => Buffer[]): Buffer => Buffer.concat(Array.from({ length: 1_000 }, (_, i) => make(i)).flat());
  const code = Buffer.from([0, 0, 0, 8]);
  switch (kind) {
    case 'reset':
      return thousand((i) => [frameBytes(1, 5, 2 * i + 1, REQUEST), frameBytes(3, 0, 2 * i + 1, code)]);
    case 'settings':
      return thousand(() => [frameBytes(4, 0, 0)]);
    case 'ping':
      return thousand(() => [frameBytes(6, 0, 0, Buffer.alloc(8))]);
    case 'empty data':
      return Buffer.concat([frameBytes(1, 4, 1, REQUEST), thousand(() => [frameBytes(0, 0, 1)])]);
    case 'continuation':
      return Buffer.concat([frameBytes(1, 0, 1, REQUEST), thousand(() => [frameBytes(9, 0, 1, Buffer.from([0, 1, 97, 1, 98]))])]);
    case 'priority':
      return thousand((i) => [frameBytes(2, 0, 2 * i + 1, Buffer.alloc(5))]);
    case 'stalled windows':
      return Buffer.concat([
        frameBytes(4, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])),
        thousand((i) => (i < 100 ? [frameBytes(1, 5, 2 * i + 1, REQUEST)] : [])),
      ]);
    default:
      return thousand(() => [frameBytes(8, 0, 0, Buffer.from([0, 0, 0, 1]))]);
  }
}
