/** Programs of the machine, run as users run them. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/linker/free-port.ts';
import { accepts } from '../bench/children.ts';
import { PATIENCE } from './patience.ts';

const POSTGRES_VERSIONS = '/usr/lib/postgresql';
const TIMEOUT_MS = 60_000 * PATIENCE;

const children: ChildProcess[] = [];
const directories: string[] = [];

/** For `afterAll`. */
export async function stopPrograms(): Promise<void> {
  await Promise.all(
    children.splice(0).map((child) => {
      if (child.exitCode !== null || child.signalCode !== null) return null;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGINT');
      return ended;
    }),
  );
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
}

/** Its output, on both ways. @throws Error with that when it fails. */
export function output(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: TIMEOUT_MS, env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${program} ${args.join(' ')}: ${error.message}\n${stdout}${stderr}`));
    });
  });
}

/** A PostgreSQL server of this machine, with the user postgres, who needs no password. */
export async function startPostgres(): Promise<number> {
  const [version] = readdirSync(POSTGRES_VERSIONS).sort().reverse();
  const programs = join(POSTGRES_VERSIONS, version ?? '', 'bin');
  const directory = temporary();
  const data = join(directory, 'data');
  const port = await freePort();
  // It does not run as root.
  const as = userInfo().uid === 0 ? await otherUser('postgres', directory) : {};
  await new Promise<void>((resolve, reject) => {
    const args = ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync'];
    execFile(join(programs, 'initdb'), args, { ...as, cwd: directory }, (error) => (error === null ? resolve() : reject(error)));
  });
  const settings = ['-h', '127.0.0.1', '-p', String(port), '-k', directory, '-F'];
  children.push(spawn(join(programs, 'postgres'), ['-D', data, ...settings], { ...as, cwd: directory, stdio: 'ignore' }));
  await accepts(port);
  return port;
}

export interface SshServer {
  readonly port: number;
  /** Arguments with which `ssh` gets in at whatever port. */
  readonly args: readonly string[];
}

export async function startSsh(): Promise<SshServer> {
  const directory = temporary();
  const [hostKey, userKey] = [join(directory, 'host'), join(directory, 'user')];
  for (const key of [hostKey, userKey]) await output('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true });
  const port = await freePort();
  const options = { AuthorizedKeysFile: `${userKey}.pub`, PermitRootLogin: 'yes', StrictModes: 'no', UsePAM: 'no', PidFile: 'none' };
  const settings = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  children.push(spawn('/usr/sbin/sshd', ['-D', '-f', '/dev/null', '-h', hostKey, '-p', String(port), ...settings], { stdio: 'ignore' }));
  await accepts(port);
  const trust = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'LogLevel=ERROR'];
  const login = `${userInfo().username}@127.0.0.1`;
  return { port, args: ['-i', userKey, ...trust.flatMap((one) => ['-o', one]), login] };
}

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-programs-'));
  directories.push(directory);
  return directory;
}

async function otherUser(name: string, directory: string): Promise<{ uid: number; gid: number }> {
  const uid = Number(await output('id', ['-u', name]));
  const gid = Number(await output('id', ['-g', name]));
  chownSync(directory, uid, gid);
  chmodSync(directory, 0o700);
  return { uid, gid };
}
