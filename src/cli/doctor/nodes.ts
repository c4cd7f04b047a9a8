import { connect } from 'node:net';
import type { ClusterSnapshot } from '../../cluster/cluster.ts';
import { formatHostPort, parseHostPort } from '../../config/host-port.ts';
import { type Check, checksOf } from './check.ts';

const CONNECT_TIMEOUT_MS = 3_000;
/** Connections at the same time. */
const AT_ONCE = 16;
/** So many nodes are dialled, the first ones. */
const DIALLED_MAX = 200;

const { ok, warning, error } = checksOf('nodes');

export async function nodeChecks({ nodes, missing = [] }: Pick<ClusterSnapshot, 'nodes' | 'missing'>, own: string): Promise<Check[]> {
  if (nodes.length === 0) return [...missingChecks(missing), ok('no node is in this Redis')];
  const dialled = nodes.slice(0, DIALLED_MAX);
  const checks: Check[] = [];
  for (let at = 0; at < dialled.length; at += AT_ONCE) checks.push(...(await Promise.all(dialled.slice(at, at + AT_ONCE).map(reached))));
  return [...checks, versionsCheck(nodes, own), ...missingChecks(missing)];
}

async function reached({ id, address }: { readonly id: string; readonly address: string }): Promise<Check> {
  const to = parseHostPort(address);
  const advice = 'Linkers and other nodes dial it too: is --advertise an address that they reach, and does a firewall let them?';
  if (to === null) return error(`node ${id} advertises "${address}", which is no address`, advice);
  const why = await dial(to.host, to.port);
  if (why === null) return ok(`node ${id} is reached at ${formatHostPort(to)}`);
  return error(`node ${id} is not reached from here at ${formatHostPort(to)}: ${why}`, advice);
}

function dial(host: string, port: number): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = connect({ host, port });
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => resolve(`no response within ${CONNECT_TIMEOUT_MS / 1_000} s`));
  socket.once('connect', () => resolve(null));
  socket.on('error', (failed: NodeJS.ErrnoException) => resolve(failed.code ?? failed.message));
  return promise.finally(() => socket.destroy());
}

function versionsCheck(nodes: ClusterSnapshot['nodes'], own: string): Check {
  const versions = [...new Set(nodes.map(({ version }) => version))].sort();
  if (versions.length > 1)
    return warning(
      `the nodes have different versions: ${versions.join(', ')}`,
      'Between two versions that is fine for the time of an upgrade: end it.',
    );
  if (versions[0] !== own) return warning(`the nodes have version ${versions[0]}, this command ${own}`, 'Use one version.');
  return ok(`all nodes have version ${own}`);
}

function missingChecks(missing: NonNullable<ClusterSnapshot['missing']>): Check[] {
  return missing.map(({ id, since }) =>
    warning(
      `node ${id} is missing since ${new Date(since).toISOString()}`,
      `Start it again, or say that it does not come back: pullproxy forget ${id}`,
    ),
  );
}
