/** The example of branch previews with Docker Compose, as its comments say: a branch's address starts that branch's container, and no other. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, statSync } from 'node:fs';
import { request } from 'node:https';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort } from '../../src/linker/free-port.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { docker, hasDocker } from '../support/docker.ts';
import { eventually } from '../support/eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PREVIEWS = join(ROOT, 'deploy/examples/previews');
const BRANCHES = ['main', 'fix-login'];
const PATIENCE_MS = 120_000;

let certificate: Certificate;
let port: number;

function compose(project: string, file: string, branch: string, ...args: readonly string[]): void {
  const [program = '', ...first] = spawnSync('docker', ['compose', 'version']).status === 0 ? ['docker', 'compose'] : ['docker-compose'];
  const env = {
    ...process.env,
    BRANCH: branch,
    IDLE: '2s',
    PREVIEW_PORT: `127.0.0.1:${port}`,
    CERTIFICATES: dirname(certificate.certFile),
    DOCKER_GROUP: String(statSync('/var/run/docker.sock').gid),
  };
  const words = [...first, '--project-name', project, '--file', join(PREVIEWS, file), ...args];
  execFileSync(program, words, { cwd: PREVIEWS, env, stdio: 'pipe' });
}

const branchProject = (branch: string): string => `pullproxy-test-${branch}`;
const ofBranch = (branch: string, ...args: readonly string[]): void => compose(branchProject(branch), 'branch.yml', branch, ...args);
const ofPullproxy = (...args: readonly string[]): void => compose('pullproxy-test-previews', 'compose.yml', 'none', ...args);

function states(): Record<string, string> {
  const format = '{{.Label "com.docker.compose.project"}} {{.State}}';
  const lines = docker('ps', '--all', '--filter', 'label=preview=true', '--format', format).split('\n').filter(Boolean);
  return Object.fromEntries(lines.map((line) => line.split(' ')));
}

/** As a browser does: by the name of the branch, whose certificate is checked. */
function visit(branch: string, path = '/work'): Promise<number> {
  const host = `${branch}.preview.localhost`;
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, servername: host, headers: { host }, ca: certificate.cert, agent: false });
    outgoing.once('response', (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}

(hasDocker ? describe : describe.skip)('previews of branches', () => {
  beforeAll(async () => {
    execFileSync('docker', ['build', '--quiet', '--file', 'deploy/Dockerfile', '--tag', 'pullproxy', '.'], { cwd: ROOT, stdio: 'ignore' });
    certificate = makeCertificate('*.preview.localhost');
    chmodSync(dirname(certificate.certFile), 0o755);
    chmodSync(certificate.keyFile, 0o644);
    port = await freePort();
    ofPullproxy('up', '--detach');
    for (const branch of BRANCHES) ofBranch(branch, 'up', '--no-start');
  }, 600_000);
  afterAll(() => {
    for (const branch of BRANCHES) ofBranch(branch, 'down', '--timeout', '1');
    ofPullproxy('down', '--timeout', '10');
    certificate?.remove();
  }, 600_000);

  const containerOf = branchProject;

  test('each starts with its first client, alone, sleeps when it is idle, and is gone with its branch', async () => {
    const isServed = (branch: string) => async (): Promise<boolean> => (await visit(branch)) === 200;
    expect(states()).toEqual({ [containerOf('main')]: 'created', [containerOf('fix-login')]: 'created' });
    // Until pullproxy listens and has read the labels.
    await eventually('the branch is served', isServed('fix-login'), PATIENCE_MS);
    expect(states()[containerOf('main')]).toBe('created');
    await eventually('main is served', isServed('main'), PATIENCE_MS);
    await eventually('both sleep', () => Object.values(states()).join() === 'exited,exited', PATIENCE_MS);
    expect(await visit('fix-login')).toBe(200);
    expect(states()[containerOf('main')]).toBe('exited');
    expect(await visit('no-such-branch')).toBe(404);

    ofBranch('fix-login', 'down', '--timeout', '1');
    await eventually('it is unknown', async () => (await visit('fix-login')) === 404, PATIENCE_MS);
    expect(await visit('main')).toBe(200);
  }, 600_000);
});
