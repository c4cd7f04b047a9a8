/**
 * Before the tests of a run: the program in few files, from this source, so that the hundreds of processes that they start cost half the processor time.
 * It has its directory by its content: what Node has compiled of it is there for the next run, too.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { bundle } from '../../.config/bundle.mjs';

const ROOT = resolve(import.meta.dirname, '../..');
const PLACE = join(ROOT, 'node_modules/.cache/program');
const UNUSED_MS = 24 * 3_600_000;

export default async function bundleProgram() {
  // `npm run test:poisoned` needs the modules of the source.
  if (process.env.TEST_PROGRAM !== undefined) return;
  mkdirSync(PLACE, { recursive: true });
  const made = mkdtempSync(join(PLACE, 'new-'));
  // Some tests start it as another user.
  chmodSync(made, 0o755);
  await bundle(join(made, 'cli'), join(ROOT, 'src'));
  const hash = createHash('sha256');
  for (const name of readdirSync(join(made, 'cli')).toSorted()) hash.update(readFileSync(join(made, 'cli', name)));
  const directory = join(PLACE, hash.digest('hex').slice(0, 16));
  if (existsSync(directory)) rmSync(made, { recursive: true });
  else renameSync(made, directory);
  const now = new Date();
  utimesSync(directory, now, now);
  removeUnused(now.getTime());
  process.env.TEST_PROGRAM = join(directory, 'cli/main.cjs');
}

function removeUnused(now) {
  for (const name of readdirSync(PLACE)) {
    const directory = join(PLACE, name);
    if (now - statSync(directory).mtimeMs > UNUSED_MS) rmSync(directory, { recursive: true, force: true });
  }
}
