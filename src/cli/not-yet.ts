import { problem } from '../config/kinds.ts';
import { formatListenUrl, type ListenUrl } from '../config/listen-url.ts';
import { ConfigError } from '../errors.ts';

/** @throws ConfigError for what the command line promises and the node can't do yet. */
export function refuseWhatIsNotYet(settings: {
  readonly listen: readonly ListenUrl[];
  readonly backendTlsCert?: string | undefined;
}): void {
  const problems = settings.listen
    .filter(({ protocol, proxyProtocol }) => protocol !== 'http' || proxyProtocol !== null)
    .map((url) => problem('--listen', formatListenUrl(url), 'http://HOST:PORT: the others are not available yet'));
  if (settings.backendTlsCert !== undefined) {
    problems.push(problem('--backend-tls-cert', settings.backendTlsCert, 'nothing: TLS at the backend port is not available yet'));
  }
  if (problems.length > 0) throw new ConfigError(problems);
}
