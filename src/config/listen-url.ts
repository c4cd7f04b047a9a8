import { formatHostPort, parseHostPort } from './host-port.ts';
import type { Kind } from './kinds.ts';
import { validRouteName } from './route-name.ts';

export interface ListenUrl {
  readonly protocol: 'http' | 'https' | 'tls' | 'tcp';
  readonly host: string;
  /** 0: a free port. */
  readonly port: number;
  /** The route of a `tcp` listener; null for the others, which read the route from the traffic. */
  readonly route: string | null;
  /** The PROXY protocol version that connections to this listener begin with; null: none is expected. */
  readonly proxyProtocol: 'v1' | 'v2' | null;
}

const EXPECTED =
  'http://HOST:PORT, https://HOST:PORT, tls://HOST:PORT or tcp://HOST:PORT?route=NAME, each with proxy=v1 or proxy=v2 in the query if connections begin with a PROXY header';

/** A `--listen` value; null when `url` is not one. */
export function parseListenUrl(url: string): ListenUrl | null {
  const match = /^(http|https|tls|tcp):\/\/([^/?#]+)\/?(?:\?([^#]*))?$/.exec(url.trim());
  const protocol = match?.[1] as ListenUrl['protocol'] | undefined;
  const address = parseHostPort(match?.[2] ?? '');
  if (protocol === undefined || address === null) return null;
  const query = new URLSearchParams(match?.[3] ?? '');
  const known = protocol === 'tcp' ? ['route', 'proxy'] : ['proxy'];
  const keys = [...query.keys()];
  if (keys.some((name) => !known.includes(name)) || new Set(keys).size < keys.length) return null;
  const proxyProtocol = query.get('proxy');
  if (proxyProtocol !== null && proxyProtocol !== 'v1' && proxyProtocol !== 'v2') return null;
  const route = protocol === 'tcp' ? validRouteName(query.get('route') ?? '') : null;
  if (protocol === 'tcp' && route === null) return null;
  return Object.freeze({ protocol, ...address, route, proxyProtocol });
}

export function formatListenUrl({ protocol, host, port, route, proxyProtocol }: ListenUrl): string {
  const query = [...(route === null ? [] : [`route=${route}`]), ...(proxyProtocol === null ? [] : [`proxy=${proxyProtocol}`])].join('&');
  return `${protocol}://${formatHostPort({ host, port })}${query === '' ? '' : `?${query}`}`;
}

export const listenUrl: Kind<ListenUrl> = {
  expected: EXPECTED,
  placeholder: 'URL',
  read: (value) => (typeof value === 'string' ? parseListenUrl(value) : null),
  write: formatListenUrl,
};
