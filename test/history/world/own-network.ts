/**
 * Faults of the network itself, by the packet filter of a network namespace that the run has for itself: packets of one direction are dropped in
 * silence, some of them or only large ones. Connections stay, and TCP repeats what was lost, later and later.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

const MARK = 'HISTORY_OWN_NETWORK';
/** A packet that a link with a smaller MTU would not take, where nobody hears of it. */
const LARGE_BYTES = 1_000;

export type Lost = 'all' | 'large' | { readonly share: number };

/** Whether this process is in a network of its own. */
export function hasOwnNetwork(): boolean {
  return process.env[MARK] === 'yes';
}

/** Why it can't have one; null: it can. */
export function ownNetworkRefusal(): string | null {
  if (process.getuid?.() !== 0) return 'only root can make a network namespace';
  const probe = 'ip link set lo up && iptables -A INPUT -p tcp -m statistic --mode random --probability 0.5 -j DROP';
  const { status, stderr, error } = spawnSync('unshare', ['--net', 'sh', '-c', probe], { encoding: 'utf8' });
  if (status !== 0) return `unshare, ip and iptables are needed: ${error?.message ?? stderr.trim()}`;
  const redis = spawnSync('redis-server', ['--version']);
  return redis.status === 0 ? null : 'redis-server is needed, since containers are in another network';
}

/** This program again, in a network of its own. Resolves with its exit code. */
export async function inOwnNetwork(args: readonly string[]): Promise<number> {
  const program = ['sh', '-c', 'ip link set lo up && exec "$0" "$@"', process.execPath, ...args];
  const child = spawn('unshare', ['--net', ...program], { stdio: 'inherit', env: { ...process.env, [MARK]: 'yes' } });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

/** From now on packets to a TCP port, or from it, are lost. Returns what ends it. */
export function losePackets(direction: 'to' | 'from', port: number, lost: Lost): () => void {
  const rule = ['INPUT', '-p', 'tcp', direction === 'to' ? '--dport' : '--sport', String(port)];
  if (lost === 'large') rule.push('-m', 'length', '--length', `${LARGE_BYTES}:65535`);
  else if (lost !== 'all') rule.push('-m', 'statistic', '--mode', 'random', '--probability', String(lost.share));
  rule.push('-j', 'DROP');
  filter('-A', rule);
  return () => filter('-D', rule);
}

function filter(change: '-A' | '-D', rule: readonly string[]): void {
  const { status, stderr } = spawnSync('iptables', ['-w', change, ...rule], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`iptables ${change} ${rule.join(' ')}: ${stderr}`);
}
