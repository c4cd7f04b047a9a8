/** The container image as deploy/Dockerfile makes it: small, nobody's root, writes nowhere, says whether it lives, drains on SIGTERM. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ask, crowd, statuses } from '../support/clients.ts';
import { TestContainers } from '../support/docker.ts';
import { eventually } from '../support/eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BASE = 'node:24-slim';
const IMAGE = 'pullproxy';
const ABOVE_BASE_BYTES_MAX = 30_000_000;
const BUILD_TIMEOUT_MS = 600_000;
const LOCKED = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
/** Each takes the only slot for 300 ms: some seconds in all. */
const CROWD = 20;
const SOCKET = '/var/run/docker.sock';
const DEMO = ['node', 'deploy/examples/demo-app.mjs'];

const hasDocker = spawnSync('docker', ['info']).status === 0;
if (!hasDocker && process.env.CI === 'true') throw new Error('the tests need Docker, which does not answer');

/** `dev` listens for its own machine, which in a container nobody else is at. */
const EVERYWHERE = ['--listen', 'http://0.0.0.0:8080'];
const docker = (...words: readonly string[]): string => execFileSync('docker', words, { encoding: 'utf8', stdio: 'pipe' }).trim();

(hasDocker ? describe : describe.skip)('the image', () => {
  let container = '';
  beforeAll(() => {
    execFileSync('docker', ['build', '--quiet', '--file', 'deploy/Dockerfile', '--tag', IMAGE, '.'], { cwd: ROOT, stdio: 'ignore' });
  }, BUILD_TIMEOUT_MS);
  afterEach(() => {
    spawnSync('docker', ['rm', '--force', '--volumes', container]);
  });

  /** Gives where the container's port 8080 is reached. */
  async function run(options: readonly string[], ...args: readonly string[]): Promise<string> {
    container = docker('run', '--detach', '--label', 'pullproxy.test=image', '--publish', '127.0.0.1::8080', ...options, IMAGE, ...args);
    const url = `http://${docker('port', container, '8080/tcp').split('\n')[0]}`;
    await eventually('it is ready', () => docker('logs', container).includes('"msg":"ready"'), 60_000);
    return url;
  }

  const inspect = (format: string): string => docker('inspect', '--format', format, container);

  test('is its base and little more: no tools of the build', async () => {
    const size = (image: string): number => Number(docker('image', 'inspect', '--format', '{{.Size}}', image));
    expect(size(IMAGE) - size(BASE)).toBeLessThan(ABOVE_BASE_BYTES_MAX);
    await run([], 'node', '--backend', '127.0.0.1:9080');
    expect(docker('exec', container, 'ls')).toBe('deploy\ndist\nnode_modules\npackage.json');
    // The compiled program and linker, for the user who runs here: a name that Node changes would go unnoticed.
    const cache = docker('exec', container, 'sh', '-c', 'cat dist/compile-cache/*-1000/* | wc -c');
    expect(Number(cache)).toBeGreaterThan(500_000);
    expect(docker('exec', container, 'ls', 'node_modules').split('\n')).not.toContain('typescript');
  });

  test('runs as nobody’s root, without rights and on a file system that it can’t write to', async () => {
    const url = await run([...LOCKED, '--init'], 'dev', ...EVERYWHERE, '--concurrency', '1', '--', ...DEMO);
    expect(docker('exec', container, 'id', '-u')).toBe('1000');
    const { status, body } = await ask(url, { host: 'app.example.com' });
    expect([status, body.includes('Hello from instance')]).toEqual([200, true]);
  });

  test('is healthy while it answers at its admin port, and not when it hangs', async () => {
    const often = ['--health-interval', '1s', '--health-timeout', '4s', '--health-retries', '1'];
    await run([...LOCKED, ...often], 'node', '--backend', '127.0.0.1:9080', '--admin', '0.0.0.0:9999');
    const health = (): string => inspect('{{.State.Health.Status}}');
    await eventually('it is healthy', () => health() === 'healthy', 60_000);
    docker('kill', '--signal', 'STOP', container);
    await eventually('it is unhealthy', () => health() === 'unhealthy', 60_000);
    docker('kill', '--signal', 'CONT', container);
    await eventually('it is healthy again', () => health() === 'healthy', 60_000);
  });

  test('wakes containers that sleep, with nothing but Docker’s socket', async () => {
    const sleepers = new TestContainers();
    const network = `pullproxy-test-${randomBytes(6).toString('hex')}`;
    docker('network', 'create', network);
    try {
      sleepers.create({ route: 'wiki.test', port: '8000' }, { options: ['--network', network] });
      const given = ['--network', network, '--volume', `${SOCKET}:${SOCKET}`, '--group-add', String(statSync(SOCKET).gid)];
      const url = await run(given, 'node', '--discover', 'docker', '--docker-label', sleepers.label);
      await eventually('it is discovered', () => docker('logs', container).includes('a route was discovered'), 60_000);
      expect((await ask(url, { host: 'wiki.test' })).status).toBe(200);
    } finally {
      spawnSync('docker', ['rm', '--force', '--volumes', container]);
      sleepers.remove();
      docker('network', 'rm', network);
    }
  });

  test('collects what applications leave behind', async () => {
    const orphans = `for (let n = 0; n < 20; n++) require('node:child_process').spawn('sh', ['-c', 'sleep 0.2 & exit 0'], { stdio: 'ignore' });
      require('node:http').createServer((q, r) => r.end('ok')).listen(process.env.PORT, '127.0.0.1');`;
    const url = await run(LOCKED, 'dev', ...EVERYWHERE, '--concurrency', '1', '--', 'node', '--eval', orphans);
    expect((await ask(url, { host: 'app.example.com' })).body).toBe('ok');
    const processes = (): string => docker('exec', container, 'node', '--eval', PROCESSES);
    await eventually('the orphans have ended', () => !processes().includes('S sleep'));
    expect(
      processes()
        .split('\n')
        .filter((line) => line.startsWith('Z')),
    ).toEqual([]);
  });

  test.each([[[]], [['--init']]])('drains on SIGTERM: who is served or held gets a response, and it ends with 0 (%j)', async (init) => {
    const url = await run([...LOCKED, ...init], 'dev', ...EVERYWHERE, '--concurrency', '1', '--max-instances', '1', '--', ...DEMO);
    expect((await ask(url, { host: 'app.example.com' })).status).toBe(200);
    const clients = crowd(CROWD, () => url, { host: 'app.example.com', path: '/work' });
    await eventually('most wait', () => docker('exec', container, 'node', '--input-type=module', '--eval', HELD) !== '0');
    docker('stop', '--time', '60', container);
    expect(statuses(await clients)).toEqual({ '200': CROWD });
    expect(inspect('{{.State.ExitCode}}')).toBe('0');
  });
});

/** How many clients are held, asked inside. */
const HELD = `
  const { routes } = await (await fetch('http://127.0.0.1:9090/api/v1/state')).json();
  console.log(routes.reduce((sum, { held }) => sum + held, 0));
`;

/** State and name of each process, asked inside. */
const PROCESSES = `
  const { readdirSync, readFileSync } = require('node:fs');
  for (const pid of readdirSync('/proc').filter((entry) => /^[0-9]+$/.test(entry))) {
    try {
      const [, name, state] = /[(](.*)[)] (.)/.exec(readFileSync('/proc/' + pid + '/stat', 'utf8'));
      console.log(state + ' ' + name);
    } catch {}
  }
`;
