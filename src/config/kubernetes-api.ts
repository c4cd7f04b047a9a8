/** Where the API of Kubernetes is, for a process in a Pod or beside the cluster. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors.ts';
import { type Kind, problem, text } from './kinds.ts';

/** Kubernetes mounts the files of a Pod's service account here. */
const CREDENTIALS = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface KubernetesPlace {
  readonly url: URL;
  /** Directory with the files `token` and `ca.crt`, which are read again for each request. */
  readonly credentials: string;
  readonly namespace: string;
}

export const kubernetesApi: Kind<URL> = {
  expected: 'https://HOST:PORT, or http://HOST:PORT of a proxy such as kubectl proxy',
  placeholder: 'URL',
  read(value) {
    if (typeof value !== 'string' || !URL.canParse(value)) return null;
    const url = new URL(value);
    const isPlain = url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === '';
    return isPlain && (url.protocol === 'https:' || url.protocol === 'http:') ? url : null;
  },
  write: ({ origin }) => origin,
};

export const namespaceName: Kind<string> = text('NAMESPACE', 'the name of a namespace', /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);

interface Given {
  readonly kubernetesApi?: URL | undefined;
  readonly kubernetesCredentials?: string | undefined;
  readonly discoverNamespace?: string | undefined;
}

/** What is not given comes from what Kubernetes tells a Pod. @throws ConfigError with all problems */
export function kubernetesPlaceOf(
  { kubernetesApi: given, kubernetesCredentials: credentials = CREDENTIALS, discoverNamespace }: Given,
  environment: NodeJS.ProcessEnv = process.env,
): KubernetesPlace {
  const problems: string[] = [];
  const url = given ?? urlOfPod(environment);
  if (url === null)
    problems.push(
      `--kubernetes-api is missing: expected ${kubernetesApi.expected}, since this process is in no Pod (KUBERNETES_SERVICE_HOST is not set)`,
    );
  const said = discoverNamespace ?? (environment.POD_NAMESPACE || ownNamespace(credentials));
  const namespace = said === null ? null : namespaceName.read(said);
  if (said === null) problems.push('--discover-namespace is missing: expected the namespace whose Deployments declare routes');
  else if (namespace === null) problems.push(problem('the namespace of this Pod', said, namespaceName.expected));
  if (url === null || namespace === null) throw new ConfigError(problems);
  return { url, credentials, namespace };
}

function urlOfPod({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port }: NodeJS.ProcessEnv): URL | null {
  if (!host) return null;
  return kubernetesApi.read(`https://${host.includes(':') ? `[${host}]` : host}:${port || 443}`);
}

function ownNamespace(credentials: string): string | null {
  try {
    return readFileSync(join(credentials, 'namespace'), 'utf8').trim();
  } catch {
    return null;
  }
}
