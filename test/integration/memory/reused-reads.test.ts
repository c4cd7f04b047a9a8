import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { ownBytes } from '../../../src/memory/reused-reads.ts';
import { memoryOf, reuseReads } from '../../../src/memory/socket-handle.ts';

const opened: { destroy(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.destroy();
});

interface Pair {
  readonly made: Socket;
  readonly dialled: Socket;
  readonly connections: () => Promise<number>;
}

async function accept(memory: 'own' | 'shared'): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1', () => reuseReads(server, memory, true));
  await once(server, 'listening');
  const dialled = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [made] = (await once(server, 'connection')) as [Socket];
  opened.push(dialled, made, { destroy: () => server.close() });
  const connections = (): Promise<number> => new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
  return { made, dialled, connections };
}

describe('an accepted socket', () => {
  test('reads into memory that is used again: this Node still lets it', async () => {
    const { made, dialled } = await accept('shared');
    const memories = new Set<ArrayBufferLike>();
    let bytes = 0;
    made.on('data', (chunk: Buffer) => {
      memories.add(chunk.buffer);
      bytes += chunk.length;
    });
    dialled.end(Buffer.alloc(5_000_000));
    await once(made, 'end');
    expect([bytes, memories.size]).toEqual([5_000_000, 1]);
  });

  test('is paused and resumed, half-closed and counted as every other one', async () => {
    const { made, dialled, connections } = await accept('shared');
    expect(await connections()).toBe(1);
    expect(made.remotePort).toBe(dialled.localPort);
    const heard: string[] = [];
    made.on('data', (chunk: Buffer) => {
      heard.push(chunk.toString());
      made.pause();
    });
    dialled.write('one');
    await new Promise((resolve) => made.once('pause', resolve));
    dialled.end('two');
    await once(dialled, 'finish');
    expect(heard).toEqual(['one']);
    const paused = once(made, 'pause');
    made.resume();
    await paused;
    made.resume();
    await once(made, 'end');
    expect(heard).toEqual(['one', 'two']);
    const closed = once(made, 'close');
    made.end('three');
    expect((await once(dialled, 'data')).toString()).toBe('three');
    await closed;
    expect(await connections()).toBe(0);
  });
});

test('what is kept of a read is not overwritten by the next', async () => {
  const { made, dialled } = await accept('own');
  const memory = memoryOf(made);
  const [kept, lost]: [Buffer[], Buffer[]] = [[], []];
  made.on('data', (chunk: Buffer) => {
    if (chunk[0] === 0x6b) memory?.keep();
    (chunk[0] === 0x6b ? kept : lost).push(chunk);
    made.write('.');
  });
  for (const word of ['keep 1', 'lose 1', 'keep 2', 'lose 2', 'keep 3', 'lose 3']) {
    dialled.write(word);
    await once(dialled, 'data');
  }
  expect(kept.map(String)).toEqual(['keep 1', 'keep 2', 'keep 3']);
  expect(new Set([...kept, ...lost].map(({ buffer }) => buffer)).size).toBe(4);
});

test('bytes that nobody kept are overwritten after their event: a test that uses them later fails', async () => {
  for (const memory of ['own', 'shared'] as const) {
    const { made, dialled } = await accept(memory);
    const came = new Promise<Buffer>((resolve) => void made.once('data', resolve));
    dialled.write('read');
    const chunk = await came;
    expect(chunk.toString('latin1')).toBe('\xdb'.repeat(4));
  }
});

test('own bytes are copied out of memory that all share, and left where they are otherwise', async () => {
  const { made, dialled } = await accept('shared');
  dialled.write('shared');
  const [chunk, own] = await new Promise<[Buffer, Buffer]>((resolve) => {
    made.once('data', (bytes: Buffer) => resolve([bytes, ownBytes(bytes)]));
  });
  expect(own.buffer).not.toBe(chunk.buffer);
  expect(own.toString()).toBe('shared');
  expect(ownBytes(own)).toBe(own);
});

test('memory of its own is small until it is told to grow', async () => {
  const { made, dialled } = await accept('own');
  const sizes: number[] = [];
  let bytes = 0;
  made.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    sizes.push(chunk.length);
    if (bytes >= 100_000) memoryOf(made)?.grow();
  });
  dialled.end(Buffer.alloc(1_000_000));
  await once(made, 'end');
  expect(bytes).toBe(1_000_000);
  expect(Math.max(...sizes.slice(0, 20))).toBe(4_096);
  expect(Math.max(...sizes)).toBeGreaterThan(4_096);
});
