/** The code that is simulated, loaded once time and network are simulated ones; from a copy of `src` where one is given. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Owner, SimulatedClock } from './clock.ts';
import { Network } from './network.ts';

export interface Code {
  readonly clock: SimulatedClock;
  readonly network: Network;
  readonly ProxyNode: typeof import('../../../src/node/node.ts').ProxyNode;
  readonly Linker: typeof import('../../../src/linker/linker.ts').Linker;
  readonly ClusterMember: typeof import('../../../src/cluster/member/member.ts').ClusterMember;
  readonly MemoryDirectory: typeof import('../../../src/cluster/memory/directory.ts').MemoryDirectory;
  readonly MemoryBell: typeof import('../../../src/cluster/memory/bell.ts').MemoryBell;
  readonly PauseBarrier: typeof import('../../../src/cluster/pause-barrier.ts').PauseBarrier;
  readonly LocalScaler: typeof import('../../../src/scaling/local.ts').LocalScaler;
  readonly CLIENT_LIMITS: typeof import('../../../src/config/listener-settings.ts').CLIENT_LIMITS;
  readonly parseRouteSettings: typeof import('../../../src/config/route-settings.ts').parseRouteSettings;
  readonly log: import('../../../src/log.ts').Log;
  /** Told what a linker does with its slots; `owner`: whose doing it is. */
  onLinker: (owner: Owner, e: 'lends' | 'withholds' | 'leaves' | 'gone') => void;
  /** Errors of pullproxy's own that a boundary caught. */
  internalErrors: string[];
}

/** Once in a process: there is one time. */
export async function loadCode(source: string): Promise<Code> {
  const clock = new SimulatedClock();
  const network = new Network(clock);
  clock.install();
  network.install();
  const load = <T>(path: string): Promise<T> => import(pathToFileURL(join(source, path)).href) as Promise<T>;
  const { ProxyNode } = await load<typeof import('../../../src/node/node.ts')>('node/node.ts');
  const { Linker } = await load<typeof import('../../../src/linker/linker.ts')>('linker/linker.ts');
  const { Links } = await load<typeof import('../../../src/linker/links.ts')>('linker/links.ts');
  const { ClusterMember } = await load<typeof import('../../../src/cluster/member/member.ts')>('cluster/member/member.ts');
  const { MemoryDirectory } = await load<typeof import('../../../src/cluster/memory/directory.ts')>('cluster/memory/directory.ts');
  const { MemoryBell } = await load<typeof import('../../../src/cluster/memory/bell.ts')>('cluster/memory/bell.ts');
  const { PauseBarrier } = await load<typeof import('../../../src/cluster/pause-barrier.ts')>('cluster/pause-barrier.ts');
  const { LocalScaler } = await load<typeof import('../../../src/scaling/local.ts')>('scaling/local.ts');
  const { CLIENT_LIMITS } = await load<typeof import('../../../src/config/listener-settings.ts')>('config/listener-settings.ts');
  const { parseRouteSettings } = await load<typeof import('../../../src/config/route-settings.ts')>('config/route-settings.ts');
  const { createLog } = await load<typeof import('../../../src/log.ts')>('log.ts');
  const boundary = await load<typeof import('../../../src/boundary.ts')>('boundary.ts');
  const code: Code = {
    clock,
    network,
    ProxyNode,
    Linker,
    ClusterMember,
    MemoryDirectory,
    MemoryBell,
    PauseBarrier,
    LocalScaler,
    CLIENT_LIMITS,
    parseRouteSettings,
    log: createLog('simulation', 'silent'),
    onLinker: () => {},
    internalErrors: [],
  };
  const report = { error: (...line: readonly unknown[]) => void code.internalErrors.push(line.map(textOf).join(' ')) };
  boundary.reportInternalErrors(report as never, () => {
    // As its last resort would: the process ends.
    network.kill(clock.owner);
  });
  const seams = { lend: 'lends', withhold: 'withholds', leave: 'leaves', close: 'gone' } as const;
  for (const [method, e] of Object.entries(seams) as [keyof typeof seams, (typeof seams)[keyof typeof seams]][]) {
    const original = Links.prototype[method] as (reason?: string) => void;
    Links.prototype[method] = function (this: InstanceType<typeof Links>, reason?: string): void {
      code.onLinker(clock.owner, e);
      original.call(this, reason);
    };
  }
  return code;
}

function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const { err, ...rest } = value as { err?: Error };
  return `${JSON.stringify(rest)} ${err?.stack ?? ''}`;
}
