/** A node in a small container: a crowd that fills whatever the defaults let it fill does not get it killed. */
import { execFileSync, spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MEMORY = '256m';
/** With a limit of 1 GiB for held bytes the node was killed at 4,700. */
const CROWD = 7_000;
const HEAD = 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000000\r\n\r\n';
const BODY = Buffer.alloc(262_144);

const hasDocker = spawnSync('docker', ['info']).status === 0;
if (!hasDocker && process.env.CI === 'true') throw new Error('the tests need Docker, which does not answer');

const docker = (...words: readonly string[]): string => execFileSync('docker', words, { encoding: 'utf8', stdio: 'pipe' }).trim();

let container = '';
const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  if (container !== '') spawnSync('docker', ['rm', '--force', '--volumes', container]);
});

const inContainer = (script: string): string => docker('exec', container, 'node', '-e', script);

(hasDocker ? test : test.skip)(
  'thousands of held uploads leave a node in a container of 256 MiB alive',
  async () => {
    const limits = ['--memory', MEMORY, '--memory-swap', MEMORY, '--ulimit', 'nofile=20000:20000'];
    const node = ['node', '--listen', 'http://0.0.0.0:8080', '--backend', '127.0.0.1:9080', '--admin', '127.0.0.1:9090'];
    const files = ['--volume', `${ROOT}:/pullproxy:ro`, '--workdir', '/pullproxy'];
    container = docker('run', '--detach', ...limits, ...files, 'node:24-slim', 'node', 'src/cli/main.ts', ...node);
    await eventually('it is ready', () => docker('logs', container).includes('"msg":"ready"'), 60_000);
    const put = `{ method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"maxHeld":50000}' }`;
    expect(inContainer(`fetch('http://127.0.0.1:9090/api/v1/routes/app.test', ${put}).then(({ status }) => console.log(status))`)).toBe(
      '200',
    );
    const host = docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', container);
    let connected = 0;
    for (let i = 0; i < CROWD; i++) {
      const socket = connect(8080, host).on('error', () => {});
      sockets.push(socket);
      // What the node takes of it is in its memory; the rest waits on this side.
      socket.once('connect', () => {
        connected++;
        socket.write(HEAD);
        socket.write(BODY);
      });
      if (i % 100 === 99) await eventually('they are connected', () => connected > i - 50, 30_000);
    }
    const held = (): number =>
      Number(
        inContainer(
          `fetch('http://127.0.0.1:9090/metrics').then((answer) => answer.text()).then((text) => console.log(text.match(/^pullproxy_held\\{.*\\} (\\d+)$/m)[1]))`,
        ),
      );
    const answered = (): number => sockets.filter(({ destroyed, bytesRead }) => destroyed || bytesRead > 0).length;
    await eventually('each is held or answered', () => held() + answered() >= CROWD, 60_000);
    expect(docker('inspect', '--format', '{{.State.OOMKilled}} {{.State.Running}}', container)).toBe('false true');
  },
  240_000,
);
