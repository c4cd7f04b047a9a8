/**
 * How many instructions a request takes in the node and in the linker, as valgrind's callgrind counts them: those of the processes themselves,
 * what code compiled at run time does included, without what the kernel does for them. The rounds differ by a third and more, since V8 goes on
 * compiling and how many requests share a turn differs: good for an order of magnitude, not for a comparison of two commits.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median, wrk } from '../load.ts';
import type { Suite } from './suite.ts';

const run = promisify(execFile);
const CLIENTS = 50;
/** Until V8 has compiled most; the first requests may take longer than a client waits. */
const WARM_UP_SECONDS = 40;
const SECONDS = 5;
const ROUNDS = 8;
const QUICK_ROUNDS = 3;

/** One process that is counted. */
interface Counted {
  readonly name: string;
  readonly pid: number;
  /** Where its counts are written; `.1`, `.2`, … follow. */
  readonly file: string;
  dumps: number;
  readonly perRequest: number[];
}

export const instructions: Suite = async (surroundings, { quick }, found) => {
  if (!(await hasValgrind())) {
    console.error('instructions: counted by valgrind, which is not installed (Debian: apt-get install valgrind); left out');
    return;
  }
  const origin = await surroundings.startOrigin();
  const file = (name: string): string => join(surroundings.directory, `callgrind-${name}`);
  // Code is compiled into memory that was used before; a node that bounds its heap by itself would begin anew, as another process.
  const options = (name: string) => ({
    under: ['valgrind', '-q', '--tool=callgrind', '--smc-check=all-non-file', `--callgrind-out-file=${file(name)}`],
    flags: ['--max-semi-space-size=8', '--no-parallel-scavenge'],
  });
  const { pid, backend, address } = await surroundings.startNode(options('node'));
  const linker = await surroundings.startLinker(backend, origin, options('linker'));
  const counted = [
    { name: 'node', pid },
    { name: 'linker', pid: linker },
  ].map((one): Counted => ({ ...one, file: file(one.name), dumps: 0, perRequest: [] }));
  const load = (seconds: number) => wrk(`http://${address}/`, { clients: CLIENTS, seconds });
  await load(WARM_UP_SECONDS);
  for (const one of counted) await taken(one);
  for (let round = 0; round < (quick ? QUICK_ROUNDS : ROUNDS); round++) {
    const { count } = await load(SECONDS);
    for (const one of counted) one.perRequest.push((await taken(one)) / Math.max(1, count));
  }
  for (const { name, perRequest } of counted) {
    const say = (what: string, value: number): void =>
      found({ suite: 'instructions', name: `${name}, a request of ${CLIENTS} clients, ${what}`, value, unit: '' });
    say('median', median(perRequest));
    say('the round with fewest', Math.min(...perRequest));
    say('the round with most', Math.max(...perRequest));
  }
};

/** The instructions of a process since the last call. */
async function taken(counted: Counted): Promise<number> {
  await run('callgrind_control', ['--dump', String(counted.pid)]);
  const text = readFileSync(`${counted.file}.${++counted.dumps}`, 'utf8');
  const total = /^totals: (\d+)$/m.exec(text)?.[1];
  if (total === undefined) throw new Error(`valgrind has counted nothing: ${counted.file}.${counted.dumps}`);
  return Number(total);
}

function hasValgrind(): Promise<boolean> {
  return run('valgrind', ['--version']).then(
    () => true,
    () => false,
  );
}
