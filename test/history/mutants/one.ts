/** Simulates the code in a directory until the checker finds something: `node one.ts SRC SEED SCHEDULES`, small ones first. Exit code 1: found; 0: not. */
import { simulateMany } from '../simulation/many.ts';

const [source = '', seed, schedules] = process.argv.slice(2);
const [from, most] = [Number(seed), Number(schedules)];
const isClean = await simulateMany({
  source,
  parts: [
    { shape: 'small', seed: from, schedules: most },
    { shape: 'whole', seed: from, schedules: Math.ceil(most / 10) },
  ],
  stopsAtFirst: true,
  // What the code says of itself is no proof.
  countsInternal: false,
  say: (line) => console.log(line),
});
process.exit(isClean ? 0 : 1);
