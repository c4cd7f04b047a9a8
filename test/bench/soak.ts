/**
 * Whether anything grows: two nodes with a Redis and three linkers serve a mixture of all that clients do. In every minute it rests, collects
 * garbage in each process, and notes what each occupies. Needs redis-server. Exit code 1 when something grows, can't be told, or has failed.
 *
 *     npm run soak -- --minutes 60 [--rate 200] [--seed 1] [--out FILE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Random } from '../e2e/chaos/random.ts';
import { MixedLoad } from './soak/mixed-load.ts';
import { Observer, type Sample } from './soak/observer.ts';
import { openPlace } from './soak/place.ts';
import { growths, growthTable } from './soak/verdict.ts';
import { Visits } from './soak/visits.ts';

/** Short soaks look more often. */
const SAMPLES_MIN = 20;
/** Before the first sample: the least that makes every kind of visit happen. */
const FIRST_MS = 5_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
const minutes = positive('minutes', values.minutes);
const rate = positive('rate', values.rate);
const seed = positive('seed', values.seed);

const place = await openPlace();
const random = new Random(seed);
const load = new MixedLoad(new Visits(place, random), random, rate);
const observer = new Observer(place);
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopped = true;
    load.stop();
  });
}
try {
  const endsAt = performance.now() + minutes * 60_000;
  const everyMs = Math.min(60_000, (minutes * 60_000) / SAMPLES_MIN);
  await load.run(FIRST_MS);
  console.log(line(await observer.sample(load.requests)));
  while (!stopped && performance.now() < endsAt) {
    await load.run(everyMs);
    console.log(line(await observer.sample(load.requests)));
    write();
  }
  const found = growths(observer.samples);
  console.log(`\n${growthTable(found)}\n`);
  // V8 compiles what comes rarely late, and then again: the program bounds it.
  const judged = found.filter(({ quantity }) => !quantity.endsWith(' code'));
  const bad = judged.filter(({ verdict }) => verdict !== 'flat').map(({ quantity, verdict }) => `${quantity} ${verdict}`);
  const failed = Object.entries(load.failures).map(([what, count]) => `${what} (${count})`);
  console.log(bad.length === 0 ? 'nothing grows' : `not flat: ${bad.join(', ')}`);
  console.log(failed.length === 0 ? 'every visit came to its end' : `failed: ${failed.join(', ')}`);
  console.log(`${load.requests} requests, ${(observer.shareOfProcessor * 100).toFixed(0)} % of one processor`);
  if (bad.length + failed.length > 0) process.exitCode = 1;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  observer.close();
  await place.surroundings.close();
}
process.exit();

/** After every sample: a soak that is killed has not been for nothing. */
function write(): void {
  if (values.out === undefined) return;
  const { samples, shareOfProcessor } = observer;
  const report = { minutes, rate, seed, shareOfProcessor, failures: load.failures, growths: growths(samples), samples };
  writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
}

function line({ minutes: after, requests, values: found }: Sample): string {
  const heaps = Object.entries(found).filter(([name]) => name.endsWith(' objects'));
  const each = heaps.map(([name, heap]) => {
    const process = name.replace(' objects', '');
    return `${process} ${((found[`${process} resident`] ?? 0) / 1e6).toFixed(1)}/${(heap / 1e6).toFixed(2)} MB, ${found[`${process} fds`]} fds`;
  });
  const redis = `redis ${((found['redis memory'] ?? 0) / 1e6).toFixed(2)} MB, ${found['redis keys']} keys`;
  const failures = Object.values(load.failures).reduce((sum, count) => sum + count, 0);
  return `${after.toFixed(1)} min, ${requests} requests, ${failures} failed: ${[...each, redis].join('; ')}`;
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  console.error(`--${flag} ${text}: expected a positive number`);
  process.exit(2);
}
