/** Simulates the code in a directory until the checker finds something: `node one.ts SRC SEED SCHEDULES`. Exit code 1: found; 0: not. */
import { simulateMany } from '../simulation/many.ts';

const [source = '', seed, schedules] = process.argv.slice(2);
const isClean = await simulateMany({
  source,
  seed: Number(seed),
  schedules: Number(schedules),
  stopsAtFirst: true,
  // What the code says of itself is no proof.
  countsInternal: false,
  say: (line) => console.log(line),
});
process.exit(isClean ? 0 : 1);
