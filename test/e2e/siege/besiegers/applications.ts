/** The evil tenant's applications: what they answer depends on nothing but chance. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { bytesOf, parseScript } from '../../../fuzz/http2/script.ts';
import { APPLICATION_ANSWER } from '../../../fuzz/targets/application-answer.ts';
import { HTTP2_APPLICATION } from '../../../fuzz/targets/http2-application.ts';
import { type Field, inputOf } from './besieger.ts';

const LARGE = Buffer.alloc(1_000_000, 'l');
/** Responses that do not end by themselves go on for so long. */
const ENDLESS_MS = 4_000;

export async function applications({ ports, random }: Field): Promise<void> {
  const answers: readonly ((socket: Socket) => Promise<void> | void)[] = [
    (socket) => void socket.write(inputOf(APPLICATION_ANSWER, random)),
    (socket) => void socket.end(inputOf(APPLICATION_ANSWER, random)),
    (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    (socket) => void socket.write('RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    (socket) => void socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${LARGE.toString('latin1')}`),
    (socket) => void socket.resetAndDestroy(),
    () => {},
    (socket) => endless(socket, 'HTTP/1.1 200 OK\r\n', 'X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n'),
    (socket) =>
      endless(socket, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n', 'X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n'),
    (socket) => endless(socket, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;', 'a=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb;'),
    (socket) => endless(socket, '', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'),
    (socket) => void socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\nhello\r\n'),
    (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'),
  ];
  const http1 = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes('HTTP/1.1')) void random.pick(answers)(socket);
    });
    socket.setTimeout(10_000, () => socket.destroy());
  });
  const http2 = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(bytesOf({ kind: 'settings', values: [[4, 0x7fffffff]] }) as Buffer);
      void playFrames(socket, inputOf(HTTP2_APPLICATION, random));
    });
    socket.setTimeout(10_000, () => socket.destroy());
  });
  await once(http1.listen(ports.evilApp, '127.0.0.1'), 'listening');
  await once(http2.listen(ports.evilHttp2App, '127.0.0.1'), 'listening');
}

/** Slow enough that one processor can feed several, and without an end of its own. */
async function endless(socket: Socket, first: string, more: string): Promise<void> {
  socket.write(first);
  const until = performance.now() + ENDLESS_MS;
  while (performance.now() < until && !socket.destroyed) {
    socket.write(more.repeat(100));
    await delay(10);
  }
  socket.destroy();
}

async function playFrames(socket: Socket, script: Buffer): Promise<void> {
  for (const step of parseScript(script)) {
    if (socket.destroyed) return;
    if (step.kind === 'wait') await delay(5);
    const said = bytesOf(step);
    if (said !== null) socket.write(said);
    if (step.kind === 'rst') socket.resetAndDestroy();
  }
  await delay(20);
  socket.end();
}
