/** How this process reaches containers: it may be in one itself, on the machine of Docker, or on another one. */
import { readFileSync } from 'node:fs';
import type { DockerHost } from '../../config/docker-host.ts';
import { isLoopback } from '../../config/host-port.ts';
import { type DockerApi, DockerRefusal } from './api.ts';
import { type Reach, readInspected } from './containers.ts';

/** Docker mounts files of a container's own directory into it, whatever its host name. */
const OWN_FILES = /\/containers\/([0-9a-f]{64})\/(?:hostname|hosts|resolv\.conf)/;

export async function reachOf(
  api: DockerApi,
  host: DockerHost,
  signal: AbortSignal,
): Promise<{ readonly reach: Reach; readonly self: string | null }> {
  const self = ownContainer();
  if (self !== null) {
    try {
      const { networkMode, networks } = readInspected(await api.ask(`/containers/${self}/json`, { signal }));
      if (networkMode === 'host') return { reach: { by: 'direct' }, self };
      return { reach: { by: 'networks', names: new Set(networks.keys()) }, self };
    } catch (error) {
      // It is a container of another Docker.
      if (!(error instanceof DockerRefusal) || error.status !== 404) throw error;
    }
  }
  const isRemote = host.host !== undefined && host.host !== 'localhost' && !isLoopback(host.host);
  if (isRemote) return { reach: { by: 'published', host: host.host ?? '' }, self: null };
  // Docker runs in a virtual machine there, whose networks nobody outside reaches.
  return { reach: process.platform === 'linux' ? { by: 'direct' } : { by: 'published', host: '127.0.0.1' }, self: null };
}

/** Null: this process is in none. */
export function ownContainer(path = '/proc/self/mountinfo'): string | null {
  try {
    return OWN_FILES.exec(readFileSync(path, 'utf8'))?.[1] ?? null;
  } catch {
    return null;
  }
}
