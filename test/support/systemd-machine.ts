/**
 * A machine that systemd runs, as a container: its programs are this machine's own, mounted read-only, and so is this project at
 * /opt/pullproxy. Needs Docker, and systemd installed (not running) here.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SYSTEMD = '/lib/systemd/systemd';

export const hasSystemd = existsSync(SYSTEMD) && spawnSync('docker', ['info']).status === 0;

export class SystemdMachine {
  readonly #id: string;
  readonly #image: string;

  private constructor(id: string, image: string) {
    this.#id = id;
    this.#image = image;
  }

  /** `files` are put there before systemd starts: path → content. */
  static async boot(files: Readonly<Record<string, string>>): Promise<SystemdMachine> {
    const image = makeImage(files);
    const mounts = [
      '--volume',
      '/usr:/usr:ro',
      '--volume',
      '/sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd',
      '--volume',
      `${ROOT}:/opt/pullproxy:ro`,
    ];
    // Units that are confined mount file systems.
    const rights = [
      '--cap-add',
      'SYS_ADMIN',
      '--security-opt',
      'seccomp=unconfined',
      '--security-opt',
      'apparmor=unconfined',
      '--cgroupns',
      'private',
    ];
    const id = docker(
      ...[
        'run',
        '--detach',
        '--label',
        'pullproxy.test=systemd',
        '--network',
        'host',
        '--tmpfs',
        '/run',
        '--tmpfs',
        '/tmp',
        '--env',
        'container=docker',
      ],
      ...rights,
      ...(existsSync('/sys/fs/cgroup/systemd') ? mounts : mounts.filter((_, at) => at !== 2 && at !== 3)),
      image,
      SYSTEMD,
    ).trim();
    const machine = new SystemdMachine(id, image);
    await eventually('systemd runs', () => /running|degraded/.test(machine.try('systemctl', 'is-system-running')), 30_000);
    return machine;
  }

  /** Runs a program inside; gives what it wrote, also when it failed. */
  try(...words: readonly string[]): string {
    const { stdout, stderr } = spawnSync('docker', ['exec', this.#id, ...words], { encoding: 'utf8' });
    return stdout + stderr;
  }

  /** Starts a program inside that runs on. */
  start(env: Readonly<Record<string, string>>, ...words: readonly string[]): void {
    const given = Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
    docker('exec', '--detach', '--workdir', '/opt/pullproxy', ...given, this.#id, ...words);
  }

  remove(): void {
    spawnSync('docker', ['rm', '--force', '--volumes', this.#id]);
    spawnSync('docker', ['rmi', this.#image]);
  }
}

/** Gives the image's id: several machines may be made at the same time. */
function makeImage(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'pullproxy-systemd-'));
  try {
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name));
    const etc = {
      '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nmessagebus:x:101:101::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n',
      '/etc/group': 'root:x:0:\nmessagebus:x:101:\nnogroup:x:65534:\n',
      '/etc/nsswitch.conf': 'passwd: files systemd\ngroup: files systemd\nhosts: files dns\n',
      '/etc/machine-id': '',
    };
    for (const directory of ['run', 'tmp', 'proc', 'sys', 'dev', 'usr', 'root', 'var/log', 'opt/pullproxy'])
      mkdirSync(join(root, directory), { recursive: true });
    for (const [path, content] of Object.entries({ ...etc, ...files })) {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), content, { mode: content.startsWith('#!') ? 0o755 : 0o644 });
    }
    const script = 'tar -C "$1" -c . | docker import -';
    return execFileSync('sh', ['-c', script, 'sh', root], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  } finally {
    rmSync(root, { recursive: true });
  }
}

function docker(...words: readonly string[]): string {
  return execFileSync('docker', words, { encoding: 'utf8' });
}
