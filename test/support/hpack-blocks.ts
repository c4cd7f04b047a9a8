import { once } from 'node:events';
import { connect } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { FrameType, FrameWalk } from '../../src/node/http2/frame-walk.ts';

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
  const walk = new FrameWalk(
    {
      frame: () => true,
      payload: (type, bytes, from, to) => {
        if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) block.push(Buffer.from(bytes.subarray(from, to)));
      },
      ended: (type) => {
        if (type !== FrameType.HEADERS) return;
        blocks.push(Buffer.concat(block));
        block = [];
        if (blocks.length === requests.length) done.resolve();
      },
    },
    24,
  );
  socket.on('data', (bytes: Buffer) => walk.take(bytes));
  for (const headers of requests) session.request(headers, { endStream: true }).on('error', () => {});
  await done.promise;
  session.destroy();
  socket.destroy();
  server.close();
  return blocks;
}
