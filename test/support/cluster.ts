/** A cluster as an operator runs it: nodes and scalers, each a process of its own, on one Redis. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RouteAgents } from '../../src/cluster/cluster.ts';
import { type Running, runCommand, startProcess } from './processes.ts';
import { MAIN } from './program-path.ts';

const START_LINKER = fileURLToPath(new URL('./apps/start-linker.mjs', import.meta.url));

export const SECRET = 'a secret for tests';

export interface ClusterNode extends Running {
  readonly url: string;
  readonly backend: string;
  readonly admin: string;
}

export async function startNode(
  redisUrl: string | null,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  main: string = MAIN,
): Promise<ClusterNode> {
  const ports = ['--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const running = await startProcess(['node', ...ports, ...(redisUrl === null ? [] : ['--redis', redisUrl]), ...args], {
    env: { PULLPROXY_SECRET: SECRET, ...env },
    main,
  });
  const { listen, backend, admin } = running.ready as { listen: string[]; backend: string; admin: string };
  return { ...running, url: listen[0] as string, backend, admin: `http://${admin}` };
}

export interface LinkerArgs {
  readonly proxies: readonly string[];
  readonly route: string;
  readonly concurrency: number;
  readonly app: readonly string[];
  readonly args?: readonly string[];
}

export function linkerArgs({ proxies, route, concurrency, app, args = [] }: LinkerArgs): string[] {
  const dial = proxies.flatMap((proxy) => ['--proxy', proxy]);
  return ['linker', ...dial, '--route', route, '--concurrency', String(concurrency), ...args, '--', ...app];
}

export function startLinker(linker: LinkerArgs, env: Readonly<Record<string, string>> = {}): Promise<Running> {
  return startProcess(linkerArgs(linker), { env: { PULLPROXY_SECRET: SECRET, ...env } });
}

/** Files that applications and startup commands append to, one line an event, whatever process they are. */
export class Ledger {
  readonly #directory = mkdtempSync(join(tmpdir(), 'pullproxy-ledger-'));
  readonly commands = join(this.#directory, 'commands');
  readonly starts = join(this.#directory, 'starts');
  readonly violations = join(this.#directory, 'violations');

  lines(file: string): string[] {
    try {
      return readFileSync(file, 'utf8').split('\n').filter(Boolean);
    } catch {
      return [];
    }
  }

  /** Counting begins anew. */
  reset(): void {
    for (const file of [this.commands, this.starts, this.violations]) writeFileSync(file, '');
  }

  /** For applications, as test/support/apps/ read it. */
  env(limit: number): Record<string, string> {
    return { LIMIT: String(limit), STARTS_FILE: this.starts, VIOLATIONS_FILE: this.violations };
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A scaler whose startup command puts a linker with its application into the background and returns. */
export function startScaler(
  redisUrl: string,
  linker: Omit<LinkerArgs, 'route'>,
  ledger: Ledger,
  args: readonly string[] = [],
): Promise<Running> {
  const env = { ...ledger.env(linker.concurrency), COMMANDS_FILE: ledger.commands, LINKER_SECRET: SECRET };
  const given = Object.keys(env).flatMap((name) => ['--command-env', name]);
  const command = [process.execPath, START_LINKER, MAIN, ...linkerArgs({ ...linker, route: '{route}' })];
  return startProcess(['scaler', '--redis', redisUrl, '--admin', '127.0.0.1:0', ...args, ...given, '--', ...command], { env });
}

export async function setRoute(redisUrl: string, name: string, ...settings: string[]): Promise<void> {
  const { code, stderr } = await runCommand(['route', 'set', name, ...settings, '--redis', redisUrl]);
  if (code !== 0) throw new Error(`route set ${name}: ${stderr}`);
}

export interface State {
  readonly troubles: readonly {
    readonly code: string;
    readonly severity: string;
    readonly route: string | null;
    readonly text: string;
    readonly advice: string;
  }[];
  readonly nodes: readonly { readonly id: string; readonly held: number; readonly active: number }[];
  readonly routes: readonly {
    readonly name: string;
    readonly held: number;
    readonly active: number;
    readonly slots: number;
    readonly free: number;
    readonly starting: number;
    readonly starts: readonly { readonly id: string }[];
    readonly trouble: { readonly failures: number; readonly reason: string; readonly retryInMs: number } | null;
    readonly instances: readonly { readonly id: string; readonly seq: number; readonly state: string; readonly node: string }[];
    readonly agents?: RouteAgents;
  }[];
}

export async function state(node: ClusterNode, token?: string): Promise<State> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return (await (await fetch(`${node.admin}/api/v1/state`, { headers })).json()) as State;
}

/** The value of a metric's sample that has these labels; 0 when there is none. */
export async function metric(node: ClusterNode, name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
  const text = await (await fetch(`${node.admin}/metrics`)).text();
  let sum = 0;
  for (const line of text.split('\n')) {
    const sample = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (sample?.[1] !== name) continue;
    if (Object.entries(labels).every(([key, value]) => sample[2]?.includes(`${key}="${value}"`))) sum += Number(sample[3]);
  }
  return sum;
}
