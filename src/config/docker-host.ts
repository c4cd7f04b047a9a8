/** Where Docker's API is, as Docker's own command line writes it. */
import { ConfigError } from '../errors.ts';
import { parseHostPort } from './host-port.ts';
import { type Kind, problem } from './kinds.ts';

export interface DockerHost {
  readonly said: string;
  /** Absent: `host` and `port` say it. */
  readonly socketPath?: string;
  readonly host?: string;
  readonly port?: number;
}

const DEFAULT = 'unix:///var/run/docker.sock';

/** Docker's own words for TLS and SSH are not for this: its plain socket is. */
export const dockerHost: Kind<DockerHost> = {
  expected: 'unix:///PATH such as unix:///var/run/docker.sock, or tcp://HOST:PORT of a proxy of the socket',
  placeholder: 'URL',
  read(value) {
    if (typeof value !== 'string' || value.includes('\0')) return null;
    if (value.startsWith('unix:///')) return { said: value, socketPath: value.slice('unix://'.length) };
    if (value.startsWith('/')) return { said: `unix://${value}`, socketPath: value };
    const address = value.startsWith('tcp://') ? parseHostPort(value.slice('tcp://'.length).replace(/\/$/, '')) : null;
    return address === null || address.port === 0 ? null : { said: value, ...address };
  },
  write: ({ said }) => said,
};

/** `given`: by flag, environment or file. Without it, what Docker's own command line would take. @throws ConfigError when that can't be used */
export function dockerHostOf(given: DockerHost | undefined, environment: NodeJS.ProcessEnv = process.env): DockerHost {
  const said = environment.DOCKER_HOST || DEFAULT;
  const found = given ?? dockerHost.read(said);
  if (found === null) throw new ConfigError([problem('DOCKER_HOST', said, `${dockerHost.expected}; or --docker-host with such a value`)]);
  return found;
}
