/** Containers of a test: made from a small image that is there, and removed with all that carries the test's label. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';

const IMAGE = 'node:24-slim';

export const hasDocker = spawnSync('docker', ['info']).status === 0;
if (!hasDocker && process.env.CI === 'true') throw new Error('the tests need Docker, which does not answer');

export const docker = (...words: readonly string[]): string =>
  execFileSync('docker', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

/** Answers with its container's host name; `/slow?ms=N` after a time. Ends at once on SIGTERM, and with `/crash` with code 3. */
const APP = `
  const { createServer } = require('node:http');
  process.on('SIGTERM', () => process.exit(0));
  createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://a');
    if (pathname === '/crash') process.exit(3);
    setTimeout(() => response.end(require('node:os').hostname()), Number(searchParams.get('ms') ?? 0));
  }).listen(8000);`;

/** One label for all containers of a test file, so that no other pullproxy at this Docker takes them. */
export class TestContainers {
  readonly label = `test.discovery=${randomBytes(6).toString('hex')}`;

  /** Creates a container that does not run. Returns its name. */
  create(
    labels: Readonly<Record<string, string>>,
    { options = [], app = APP }: { options?: readonly string[]; app?: string } = {},
  ): string {
    const name = `pullproxy-test-${randomBytes(6).toString('hex')}`;
    const all = Object.entries(labels).flatMap(([key, value]) => ['--label', `pullproxy.${key}=${value}`]);
    docker('create', '--name', name, '--label', this.label, ...all, ...options, IMAGE, 'node', '--eval', app);
    return name;
  }

  state(name: string): string {
    return docker('inspect', '--format', '{{.State.Status}}', name);
  }

  /** For afterAll: also after a test that has failed. */
  remove(): void {
    const left = docker('ps', '--all', '--quiet', '--filter', `label=${this.label}`).split('\n').filter(Boolean);
    if (left.length > 0) docker('rm', '--force', '--volumes', ...left);
  }
}
