import { problem } from '../config/kinds.ts';
import { formatListenUrl, type ListenUrl } from '../config/listen-url.ts';
import { ConfigError } from '../errors.ts';

/** @throws ConfigError for what the command line promises and the node can't do yet. */
export function refuseWhatIsNotYet(settings: { readonly listen: readonly ListenUrl[] }): void {
  const problems = settings.listen
    .filter(({ proxyProtocol }) => proxyProtocol !== null)
    .map((url) => problem('--listen', formatListenUrl(url), 'no proxy=: the PROXY protocol is not available yet'));
  if (problems.length > 0) throw new ConfigError(problems);
}
