/**
 * The manifests, the chart and the commands against a real API server of Kubernetes:
 *
 *     npm run kubernetes [-- --testPathPatterns jobs.kube]
 *
 * It is built first where it is neither on PATH nor in the cache.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { binaries } from './binaries.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

binaries((line) => console.error(line));
const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js', '--runInBand'];
const argv = [...jest, '--testMatch=<rootDir>/test/kubernetes/*.kube.ts', ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, argv, { cwd: ROOT, stdio: 'inherit' }).status ?? 1;
