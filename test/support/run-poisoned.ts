/**
 * Runs the tests, or those that are named, with memory of reads overwritten in every process that they start:
 *
 *     npm run test:poisoned -- [test/e2e ...]
 */
import { spawnSync } from 'node:child_process';
import { SOURCE } from './program-path.ts';

const preload = new URL('./poison-reads.ts', import.meta.url).pathname;
const env = { ...process.env, TEST_PROGRAM: SOURCE, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${preload}` };
const { status } = spawnSync('npm', ['test', '--', ...process.argv.slice(2)], { stdio: 'inherit', env });
process.exit(status ?? 1);
