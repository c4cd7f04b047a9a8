import { type DockerHost, dockerHostOf } from '../config/docker-host.ts';
import { DockerSource } from './docker/docker-source.ts';
import type { Source } from './source.ts';

export interface DiscoverySettings {
  readonly discover: 'docker';
  readonly dockerHost?: DockerHost | undefined;
  readonly dockerLabel?: string | undefined;
}

/** Does not ask it yet. @throws ConfigError */
export function openSource({ dockerHost, dockerLabel }: DiscoverySettings): Source {
  return new DockerSource(dockerHostOf(dockerHost), dockerLabel);
}
