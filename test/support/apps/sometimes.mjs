/**
 * A startup command that fails each third time it is run, whoever runs it; otherwise it is the command behind it.
 *
 *     node sometimes.mjs DIRECTORY CMD ARG...
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';

const [directory, command, ...args] = process.argv.slice(2);
if (claim() % 3 === 0) {
  appendFileSync(`${directory}/failed`, `${process.env.START_ID}\n`);
  console.error('no capacity left');
  process.exit(7);
}
process.exitCode = spawnSync(command, args, { stdio: 'inherit' }).status ?? 1;

/** A number that nobody else has: directories are made by one process only. */
function claim() {
  for (let number = 1; ; number++) {
    try {
      mkdirSync(`${directory}/${number}`);
      return number;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
}
