import { once } from 'node:events';
import { connect } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { FrameDecoder } from '../../src/node/http2/frame-decoder.ts';
import { Flag, Type } from './http2-frames.ts';

const PREFACE_BYTES = 24;

/** The header blocks that Node's client (nghttp2) makes of these requests on one connection. */
export async function blocksOf(requests: readonly Record<string, string | string[]>[]): Promise<Buffer[]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on('error', () => {});
  const [socket] = await once(server, 'connection');
  socket.on('error', () => {});
  socket.write(Buffer.from('000000040000000000', 'hex'));
  const blocks: Buffer[] = [];
  let block: Buffer[] = [];
  const done = Promise.withResolvers<void>();
  const nothing = (): void => {};
  const decoder = new FrameDecoder({
    frame: (type, flags, _stream, payload) => {
      if (type === Type.HEADERS || type === Type.CONTINUATION) block.push(Buffer.from(payload));
      if (block.length === 0 || (flags & Flag.END_HEADERS) === 0) return;
      blocks.push(Buffer.concat(block));
      block = [];
      if (blocks.length === requests.length) done.resolve();
    },
    dataBegins: nothing,
    data: nothing,
    dataEnds: nothing,
    broken: nothing,
  });
  let preface = PREFACE_BYTES;
  socket.on('data', (bytes: Buffer) => {
    decoder.take(bytes.subarray(preface));
    preface = Math.max(0, preface - bytes.length);
  });
  for (const headers of requests) session.request(headers, { endStream: true }).on('error', () => {});
  await done.promise;
  session.destroy();
  socket.destroy();
  server.close();
  return blocks;
}
