/** Clients that send a message, wait for its echo, and send the next one. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { percentile } from './load.ts';
import type { Sample } from './rounds.ts';
import type { Target } from './surroundings.ts';

const CLIENTS = 50;
const MESSAGE_BYTES = 100;
const MASKED_BINARY = 0x82;

/** Bytes by TCP. */
export function tcpEcho(target: Target, seconds: number): Promise<Sample> {
  return pingPong(target, seconds, Buffer.alloc(MESSAGE_BYTES, 'x'), MESSAGE_BYTES, null);
}

/** Messages by WebSocket (RFC 6455): binary frames, masked with zeros, whose echo comes without a mask. */
export function webSocketEcho(target: Target, seconds: number): Promise<Sample> {
  const frame = Buffer.concat([Buffer.from([MASKED_BINARY, 0x80 | MESSAGE_BYTES, 0, 0, 0, 0]), Buffer.alloc(MESSAGE_BYTES, 'x')]);
  const upgrade = `GET / HTTP/1.1\r\nHost: ${target.address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n`;
  return pingPong(target, seconds, frame, 2 + MESSAGE_BYTES, upgrade);
}

async function pingPong(target: Target, seconds: number, message: Buffer, echoBytes: number, upgrade: string | null): Promise<Sample> {
  const tookMs: number[] = [];
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => open(target.address, upgrade)));
  const endsAt = performance.now() + seconds * 1_000;
  await Promise.all(clients.map((socket) => talk(socket, message, echoBytes, endsAt, tookMs)));
  for (const socket of clients) socket.destroy();
  return {
    count: tookMs.length,
    perSecond: tookMs.length / seconds,
    p50Ms: percentile(tookMs, 50),
    p99Ms: percentile(tookMs, 99),
    errors: 0,
  };
}

async function open(address: string, upgrade: string | null): Promise<Socket> {
  const [host, port] = address.split(':');
  const socket = connect({ host, port: Number(port), noDelay: true });
  await once(socket, 'connect');
  if (upgrade === null) return socket;
  socket.write(upgrade);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  if (!answer.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(`no upgrade: ${answer.toString('latin1')}`);
  return socket;
}

function talk(socket: Socket, message: Buffer, echoBytes: number, endsAt: number, tookMs: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = echoBytes;
    let sentAt = performance.now();
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection was closed')));
    socket.on('data', (chunk: Buffer) => {
      missing -= chunk.length;
      if (missing > 0) return;
      const now = performance.now();
      tookMs.push(now - sentAt);
      if (now >= endsAt) {
        socket.removeAllListeners('close');
        resolve();
        return;
      }
      missing = echoBytes;
      sentAt = now;
      socket.write(message);
    });
    socket.write(message);
  });
}
