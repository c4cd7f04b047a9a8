import type { Log } from '../../log.ts';
import type { Cluster, Peer } from '../cluster.ts';
import type { DeclarationsKept } from '../declarations.ts';
import { ClusterMember } from '../member/member.ts';
import { MemoryBell } from './bell.ts';
import { MemoryDirectory } from './directory.ts';

/** A node's cluster within one process: its own, or shared by all with the same `directory`. */
export function createMemoryCluster(options: {
  readonly self: Peer;
  readonly version: string;
  readonly log: Log;
  readonly directory?: MemoryDirectory;
  readonly kept?: DeclarationsKept | undefined;
}): { cluster: Cluster; directory: MemoryDirectory } {
  const directory = options.directory ?? new MemoryDirectory();
  const { self, version, log, kept } = options;
  return { cluster: new ClusterMember({ self, version, log, kept, directory, bell: new MemoryBell(directory) }), directory };
}
