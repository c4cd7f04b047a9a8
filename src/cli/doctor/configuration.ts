/** Checks what a node's configuration needs from this machine: its ports, its files. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { formatHostPort, type HostPort } from '../../config/host-port.ts';
import { ConfigError } from '../../errors.ts';
import { type BackendTlsFiles, backendTls } from '../files/backend-certificates.ts';
import { certificatePaths, type HttpsFiles, readHttpsFiles } from '../files/https-files.ts';
import { type PageSettings, readPages } from '../files/page-files.ts';
import { Secrets } from '../files/secrets.ts';
import { readTicketKeys } from '../files/ticket-keys.ts';
import { type Check, checksOf } from './check.ts';

type Files = HttpsFiles & BackendTlsFiles & PageSettings & Parameters<typeof readTicketKeys>[0] & ConstructorParameters<typeof Secrets>[0];

export interface NodePorts {
  readonly listen: readonly HostPort[];
  readonly backend: HostPort;
  readonly admin: HostPort;
}

const DAY_MS = 86_400_000;
const SOON_DAYS = 14;

const { ok, warning, error } = checksOf('configuration');

/** The problems of a configuration that can't be read. */
export function problemChecks({ problems }: ConfigError): Check[] {
  return problems.map((problem) => error(problem, '"pullproxy node --help" explains every setting.'));
}

export function fileChecks(files: Files, now: number): Check[] {
  const reads: readonly [string, () => unknown][] = [
    ['certificates of listeners', () => readHttpsFiles(files)],
    ['certificates of the backend port', () => backendTls(files)],
    ['ticket keys', () => readTicketKeys(files)],
    ['waiting pages', () => (files.pagesDir === undefined ? undefined : readPages(files))],
    ['secrets', () => new Secrets(files)],
  ];
  const checks = reads.flatMap(([what, read]) => {
    try {
      return [...(read() === undefined ? [] : [ok(`${what} can be used`)])];
    } catch (failed) {
      if (failed instanceof ConfigError) return problemChecks(failed);
      throw failed;
    }
  });
  if (checks.some(({ state }) => state === 'error')) return checks;
  const backend = files.backendTlsCert === undefined ? [] : [files.backendTlsCert];
  return [...checks, ...[...certificatePaths(files), ...backend].map((path) => expiryCheck(path, now))];
}

function expiryCheck(path: string, now: number): Check {
  const { validFromDate, validToDate } = new X509Certificate(readFileSync(path));
  const days = Math.floor((validToDate.getTime() - now) / DAY_MS);
  const renew = 'Renew it; nodes read the file again by themselves.';
  if (validToDate.getTime() <= now) return error(`${path} has expired on ${validToDate.toISOString()}`, renew);
  if (validFromDate.getTime() > now)
    return error(`${path} is valid from ${validFromDate.toISOString()} only`, 'Is the clock of this machine right?');
  return days < SOON_DAYS ? warning(`${path} expires in ${days} days`, renew) : ok(`${path} is valid for ${days} days`);
}

/** Opens each port for a moment. */
export async function portChecks({ listen, backend, admin }: NodePorts): Promise<Check[]> {
  const ports = new Map([...listen, backend, admin].flatMap((port) => (port.port === 0 ? [] : [[formatHostPort(port), port] as const])));
  return Promise.all([...ports].map(async ([name, port]) => portCheck(name, await openOnce(port))));
}

function portCheck(name: string, why: string | null): Check {
  if (why === null) return ok(`${name} is free`);
  if (why === 'EADDRINUSE')
    return warning(`${name} is in use`, 'All is well if this node runs already. Otherwise ss -ltnp shows who has it.');
  if (why === 'EACCES')
    return error(
      `${name}: this user may not listen there`,
      'AmbientCapabilities=CAP_NET_BIND_SERVICE, or sysctl net.ipv4.ip_unprivileged_port_start.',
    );
  return error(`nobody can listen at ${name}: ${why}`, 'Is it an address of this machine?');
}

function openOnce({ host, port }: HostPort): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const server = createServer();
  server.once('error', (failed: NodeJS.ErrnoException) => resolve(failed.code ?? failed.message));
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  return promise;
}
