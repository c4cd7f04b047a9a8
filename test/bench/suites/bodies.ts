import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rss } from '../children.ts';
import { transfer, wrk } from '../load.ts';
import { compare } from '../rounds.ts';
import type { Surroundings, Target } from '../surroundings.ts';
import type { Suite } from './suite.ts';

const MEGABYTE = 1_048_576;
const LARGE = 100 * MEGABYTE;

/** Large bodies in both directions, and what they leave in the memory of the node and the linker. */
export const bodies: Suite = async (surroundings, { rounds, seconds }, found) => {
  const origin = await surroundings.startOrigin();
  const { port: sink } = await surroundings.startApp('sink.mjs');
  const down = [await surroundings.startPullproxy(origin), await surroundings.startChain(origin)];
  const up = [await surroundings.startPullproxy(sink), await surroundings.startChain(sink)];
  const title = (name: string) => ({ suite: 'bodies', name, unit: 'MB/s' }) as const;
  const many = { clients: 10, seconds, megabytesEach: MEGABYTE / 1e6 };

  const file = join(surroundings.directory, 'upload.bin');
  writeFileSync(file, Buffer.alloc(LARGE, 'x'));
  const script = uploadScript(surroundings);
  found(await compare(title('1 MB down, 10 clients'), down, rounds, ({ address }) => wrk(`http://${address}/1m`, many)));
  found(await compare(title('1 MB up, 10 clients'), up, rounds, ({ address }) => wrk(`http://${address}/`, { ...many, script })));

  const before = resident([...down, ...up]);
  found(await compare(title('100 MB down'), down, rounds, ({ address }) => transfer([`http://${address}/100m`], LARGE)));
  const send = (address: string): string[] => ['-H', 'Expect:', '-T', file, `http://${address}/`];
  found(await compare(title('100 MB up'), up, rounds, ({ address }) => transfer(send(address), LARGE)));
  const value = (resident([...down, ...up]) - before) / 1e6;
  found({ suite: 'bodies', name: 'memory that node and linker gained by the 100 MB bodies', value, unit: 'MB' });
};

function uploadScript(surroundings: Surroundings): string {
  const file = join(surroundings.directory, 'upload.lua');
  writeFileSync(file, `wrk.method = "POST"\nwrk.body = string.rep("x", ${MEGABYTE})\n`);
  return file;
}

function resident(targets: readonly Target[]): number {
  const pullproxy = targets.filter(({ name }) => name === 'pullproxy');
  return pullproxy.flatMap(({ pids }) => Object.values(pids)).reduce((sum, pid) => sum + rss(pid), 0);
}
