/** gRPC clients that make one unary call after the other. */
import { Client, credentials } from '@grpc/grpc-js';
import { percentile } from './load.ts';
import type { Sample } from './rounds.ts';
import type { Target } from './surroundings.ts';

const MESSAGE = Buffer.alloc(100, 'x');
const asItIs = (bytes: Buffer): Buffer => bytes;
/** Each client has a connection of its own. */
const OWN_CONNECTION = { 'grpc.use_local_subchannel_pool': 1 };

export async function unaryCalls({ address }: Target, clients: number, seconds: number): Promise<Sample> {
  const tookMs: number[] = [];
  const all = Array.from({ length: clients }, () => new Client(address, credentials.createInsecure(), OWN_CONNECTION));
  await Promise.all(all.map((client) => call(client)));
  const endsAt = performance.now() + seconds * 1_000;
  await Promise.all(
    all.map(async (client) => {
      for (let before = performance.now(); before < endsAt; before = performance.now()) {
        await call(client);
        tookMs.push(performance.now() - before);
      }
    }),
  );
  for (const client of all) client.close();
  return {
    count: tookMs.length,
    perSecond: tookMs.length / seconds,
    p50Ms: percentile(tookMs, 50),
    p99Ms: percentile(tookMs, 99),
    errors: 0,
  };
}

function call(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest('/bench.Bench/Echo', asItIs, asItIs, MESSAGE, (error, answer) => {
      if (error !== null) reject(error);
      else if (answer?.length !== MESSAGE.length) reject(new Error('another answer'));
      else resolve();
    });
  });
}
