/**
 * A machine that systemd or supervisord runs, as a container: its programs are this machine's own, mounted read-only, and so is this project at
 * /opt/pullproxy. /usr/local/bin has pullproxy and node, as after an installation. Needs Docker, and systemd with polkitd, or supervisor, installed
 * (not running) here.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SYSTEMD = '/lib/systemd/systemd';
const POLKIT = '/usr/lib/polkit-1/polkitd';
const SUPERVISORD = '/usr/bin/supervisord';
const SUPERVISORD_CONF = '/etc/supervisor/supervisord.conf';
const CGROUPS = '/sys/fs/cgroup/systemd';
/** The users of Debian's packages dbus and polkitd. */
const USERS = { messagebus: 101, polkitd: 102 };

interface Init {
  readonly words: readonly string[];
  /** Asks whether all has started, and what the answer is then. */
  readonly probe: readonly string[];
  readonly isUp: RegExp;
}

const INITS = {
  systemd: { words: [SYSTEMD], probe: ['systemctl', 'is-system-running'], isUp: /running|degraded/ },
  supervisord: { words: [SUPERVISORD, '--nodaemon', '--configuration', SUPERVISORD_CONF], probe: ['supervisorctl', 'pid'], isUp: /^\d+$/m },
} as const satisfies Record<string, Init>;

const hasDocker = (): boolean => spawnSync('docker', ['info']).status === 0;
export const hasSystemd = existsSync(SYSTEMD) && existsSync(POLKIT) && hasDocker();
export const hasSupervisord = existsSync(SUPERVISORD) && hasDocker();

export class DebianMachine {
  readonly #id: string;
  readonly #image: string;
  readonly #programs: string;

  private constructor(id: string, image: string, programs: string) {
    this.#id = id;
    this.#image = image;
    this.#programs = programs;
  }

  /** `files` are put there before it starts: path → content. */
  static async boot(init: keyof typeof INITS, files: Readonly<Record<string, string>>): Promise<DebianMachine> {
    const { words, probe, isUp } = INITS[init];
    // As the package leaves it there.
    const conf: Record<string, string> = init === 'supervisord' ? { [SUPERVISORD_CONF]: readFileSync(SUPERVISORD_CONF, 'utf8') } : {};
    const image = makeImage({ ...conf, ...files });
    const programs = installedPrograms();
    const cgroups = existsSync(CGROUPS) ? [`${CGROUPS}:${CGROUPS}`] : [];
    const mounts = ['/usr:/usr:ro', ...cgroups, `${ROOT}:/opt/pullproxy:ro`, `${programs}:/usr/local/bin:ro`].flatMap((one) => [
      '--volume',
      one,
    ]);
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
        'pullproxy.test=machine',
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
      ...mounts,
      image,
      ...words,
    ).trim();
    const machine = new DebianMachine(id, image, programs);
    await eventually(`${init} runs`, () => isUp.test(machine.try(...probe)), 60_000);
    return machine;
  }

  /** Runs a program inside. */
  run(...words: readonly string[]): { status: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync('docker', ['exec', this.#id, ...words], { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  }

  /** Runs a program inside; gives what it wrote, also when it failed. */
  try(...words: readonly string[]): string {
    return this.run(...words).output;
  }

  /** Starts a program inside that runs on. */
  start(env: Readonly<Record<string, string>>, ...words: readonly string[]): void {
    const given = Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
    docker('exec', '--detach', '--workdir', '/opt/pullproxy', ...given, this.#id, ...words);
  }

  remove(): void {
    spawnSync('docker', ['rm', '--force', '--volumes', this.#id]);
    spawnSync('docker', ['rmi', this.#image]);
    rmSync(this.#programs, { recursive: true });
  }
}

/** A directory with the programs that an installation puts into /usr/local/bin. */
function installedPrograms(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-programs-'));
  chmodSync(directory, 0o755);
  writeFileSync(join(directory, 'pullproxy'), '#!/bin/sh\nexec node /opt/pullproxy/src/cli/main.ts "$@"\n', { mode: 0o755 });
  symlinkSync('/opt/pullproxy/node_modules/node/bin/node', join(directory, 'node'));
  return directory;
}

/** Gives the image's id: several machines may be made at the same time. */
function makeImage(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'pullproxy-machine-'));
  const lines = (line: (user: [string, number]) => string): string =>
    Object.entries(USERS)
      .map((user) => `${line(user)}\n`)
      .join('');
  try {
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name));
    mkdirSync(join(root, 'var'));
    symlinkSync('/run', join(root, 'var/run'));
    const etc = {
      '/etc/passwd': `root:x:0:0:root:/root:/bin/sh\n${lines(([name, id]) => `${name}:x:${id}:${id}::/:/bin/false`)}nobody:x:65534:65534::/:/bin/false\n`,
      '/etc/group': `root:x:0:\n${lines(([name, id]) => `${name}:x:${id}:`)}nogroup:x:65534:\n`,
      // As without libnss-systemd, which Debian only recommends.
      '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
      '/etc/machine-id': '',
    };
    for (const directory of [
      'run',
      'tmp',
      'proc',
      'sys',
      'dev',
      'usr',
      'root',
      'var/log/supervisor',
      'etc/supervisor/conf.d',
      'opt/pullproxy',
      'var/lib',
      'etc/polkit-1/rules.d',
      'etc/sysusers.d',
      'etc/systemd/system',
    ])
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
