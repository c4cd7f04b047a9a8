import assert from 'node:assert';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { LinkProtocolError } from '../../../src/errors.ts';
import { Flag, Frame, FrameReader } from '../../../src/link/frames.ts';
import { acceptLink, dialLink } from '../../../src/link/handshake.ts';
import { Link } from '../../../src/link/link.ts';
import { LinkerLink } from '../../../src/link/linker-link.ts';
import { NodeLink } from '../../../src/link/node-link.ts';
import type { StreamHandler } from '../../../src/link/stream.ts';
import { proxyHeader } from '../../../src/linker/proxy-header.ts';
import { u32 } from '../../support/harness/link-wire.ts';
import { latin1, piecesOf, type Target } from '../target.ts';

const CONCURRENCY = 3;
const HELLO = { route: 'app.test', instance: 'i1', seq: 1, concurrency: CONCURRENCY };

/** A socket whose other end the fuzzer plays; what is written to it goes nowhere. */
class DeadEnd extends EventEmitter {
  readonly writable = true;
  readonly writableLength = 0;
  bytesWritten = 0;
  written: Buffer[] = [];
  write(bytes: Buffer): boolean {
    this.bytesWritten += bytes.length;
    return true;
  }
  cork(): void {}
  uncork(): void {}
  setNoDelay(): void {}
  destroySoon(): void {}
  destroy(): void {}
}

function frame(type: number, payload: Buffer | string, streamId = 0, flags = 0): Buffer {
  const bytes = typeof payload === 'string' ? latin1(payload) : payload;
  const head = Buffer.alloc(8);
  head.writeUInt32BE(((type << 27) | (flags << 24) | bytes.length) >>> 0, 0);
  head.writeUInt32BE(streamId, 4);
  return Buffer.concat([head, bytes]);
}

const WORDS = [u32(0), u32(1), u32(3), u32(0xffffffff)].map((bytes) => bytes.toString('latin1'));
for (const type of Object.values(Frame)) for (const id of [0, 1, 2]) WORDS.push(frame(type, u32(1), id).toString('latin1'));

const sink: StreamHandler = {
  where: 'visit',
  fail: () => {},
  onData: () => 'borrowed',
  onEnd: () => {},
  onDrain: () => {},
  onReset: () => {},
};

function playNode(bytes: Buffer): void {
  const socket = new DeadEnd();
  const link = new Link(socket as unknown as Socket, () => {});
  const node: NodeLink = new NodeLink(link, HELLO, {
    idle() {
      if (node !== undefined && node.idle > 1) node.open(sink, Flag.NONE, latin1('x'), '');
    },
    moveFailed: () => {},
    report: () => {},
    retire: () => {},
    startAnother: () => {},
    recalled: () => {},
    gathersAtMost: () => {},
    down: () => {},
  });
  for (const piece of piecesOf(bytes)) {
    socket.emit('data', piece);
    assert(node.idle >= 0 && node.active >= 0 && node.idle + node.active <= CONCURRENCY, `${node.idle} idle, ${node.active} active`);
  }
  link.close('over');
}

function playLinker(bytes: Buffer): void {
  const socket = new DeadEnd();
  const link = new Link(socket as unknown as Socket, () => {});
  let opened = 0;
  const linker: LinkerLink = new LinkerLink(link, {
    opened(stream) {
      opened++;
      // What the application is told is whole, or nothing.
      proxyHeader('v2', stream.client);
      stream.handler = sink;
    },
    done: () => {},
    returned: () => {},
    moveWanted: () => {},
    newest: () => {},
    retireAnswer: () => {},
    goAway: () => {},
    down: () => {},
  });
  linker.grant(CONCURRENCY);
  for (const piece of piecesOf(bytes)) socket.emit('data', piece);
  assert(opened <= CONCURRENCY, `${opened} streams on ${CONCURRENCY} slots`);
  link.close('over');
}

function playHandshakes(bytes: Buffer): void {
  for (const side of ['node', 'linker'] as const) {
    const socket = new DeadEnd();
    const ended: string[] = [];
    const failed = (): void => void ended.push('failed');
    const ready = (): void => void ended.push('ready');
    // Both versions, since 0.1 is let in where an operator says so.
    const versionMin = 1;
    const address = (): string => 'n1.test:9080';
    if (side === 'node')
      acceptLink(socket as unknown as Socket, { node: 'n1', address, secrets: () => ['a secret'], versionMin, ready, failed });
    else dialLink(socket as unknown as Socket, { hello: HELLO, secret: 'a secret', versionMin, ready, failed });
    for (const piece of piecesOf(bytes)) socket.emit('data', piece);
    socket.emit('close');
    assert.deepEqual(ended, ['failed'], `the ${side}'s side, without the secret`);
  }
}

function framesOf(pieces: readonly Buffer[]): string[] {
  const frames: string[] = [];
  const reader = new FrameReader(
    (...parts) => (frames.push(JSON.stringify([...parts.slice(0, 3), parts[3].toString('latin1')])) > 0 ? 'borrowed' : 'kept'),
    65_536,
  );
  try {
    for (const piece of pieces) reader.push(piece);
  } catch (error) {
    assert(error instanceof LinkProtocolError);
    frames.push('refused');
  }
  return frames;
}

const HELLO_FRAME = frame(Frame.HELLO, JSON.stringify({ v: 1, max: 2, can: [], ...HELLO, at: 'n1.test:9080', nonce: 'n'.repeat(32) }));

export const LINK_FRAMES: Target = {
  name: 'link-frames',
  sources: ['/src/link/'],
  words: WORDS,
  seeds: [
    Buffer.concat([frame(Frame.GRANT, u32(2)), frame(Frame.DATA, 'hello', 1), frame(Frame.END, '', 1), frame(Frame.RESET, u32(0), 1)]),
    Buffer.concat([
      frame(Frame.OPEN, 'GET /', 1),
      frame(Frame.WINDOW, u32(100), 1),
      frame(Frame.DONE, '', 1, 1),
      frame(Frame.RECALL, u32(1)),
    ]),
    Buffer.concat([frame(Frame.PING, ''), frame(Frame.GOAWAY, '')]),
    Buffer.concat([frame(Frame.CLIENT, '192.0.2.7 4660 127.0.0.1 80', 1), frame(Frame.OPEN, 'GET /', 1)]),
  ],
  run(bytes) {
    assert.deepEqual(framesOf(piecesOf(bytes)), framesOf([bytes]));
    playNode(bytes);
    playLinker(bytes);
  },
};

export const HANDSHAKE: Target = {
  name: 'handshake',
  sources: ['/src/link/'],
  words: [
    ...WORDS,
    '{"v":1',
    '{"v":2',
    '"max":2',
    '"can":[',
    '"at":"n1.test:1"',
    '"nonce":"',
    '"proof":"',
    '"proofs":[',
    '"route":"*"',
    'null',
    '{"toString":1}',
    ',',
  ],
  seeds: [
    HELLO_FRAME,
    Buffer.concat([HELLO_FRAME, frame(Frame.PROOF, JSON.stringify({ proof: 'x'.repeat(43) }))]),
    Buffer.concat([
      frame(Frame.CHALLENGE, JSON.stringify({ v: 2, can: [], node: 'n1', nonce: 'n'.repeat(32) })),
      frame(Frame.WELCOME, JSON.stringify({ proof: 'x'.repeat(43) })),
    ]),
    frame(Frame.CHALLENGE, JSON.stringify({ v: 1, node: 'n1', nonce: 'n'.repeat(32), proofs: ['x'.repeat(43)] })),
    frame(Frame.REFUSE, JSON.stringify({ reason: 'no' })),
  ],
  run: playHandshakes,
};
