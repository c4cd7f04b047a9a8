/**
 * Where Redis is, in one text:
 *
 *     redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]                           one server; rediss:// with TLS
 *     redis://HOST:PORT,redis://HOST:PORT                                      nodes of a Redis Cluster
 *     redis-sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/NAME[/DATABASE] the master that Sentinels call NAME; rediss-sentinel:// with TLS
 *
 * User and password are those of Redis. Sentinels have their own, if they need one: `?sentinel-password=PASSWORD`, with
 * `&sentinel-username=USER` if it is not the default user.
 */
import type { HostPort } from './host-port.ts';

interface Access {
  readonly username?: string;
  readonly password?: string;
  readonly tls: boolean;
}

export type RedisPlace =
  | { readonly kind: 'server'; readonly url: string; readonly at: HostPort }
  | ({ readonly kind: 'cluster'; readonly nodes: readonly HostPort[] } & Access)
  | ({ readonly kind: 'sentinel'; readonly sentinels: readonly HostPort[]; readonly name: string; readonly database: number } & Access &
      SentinelAccess);

/** The user and password of the Sentinels themselves. */
interface SentinelAccess {
  readonly sentinelUsername?: string;
  readonly sentinelPassword?: string;
}

const REDIS_PORT = 6_379;
const SENTINEL_PORT = 26_379;
const SENTINEL_URL = /^redis(s?)-sentinel:\/\/(?:([^@/]*)@)?([^@/?#]+)\/([\w.-]+)(?:\/(\d{1,5}))?(?:\?([^#]*))?$/;

const SENTINEL_PARAMETERS: readonly string[] = ['sentinel-username', 'sentinel-password'];

/** The same without passwords, for messages. */
export function withoutPasswords(text: string): string {
  return text.replaceAll(/\/\/[^@/,]*@/g, '//').replaceAll(/(sentinel-password=)[^&\s"]*/g, '$1***');
}

/** Null: the text does not say where Redis is. */
export function parseRedisUrl(text: string): RedisPlace | null {
  const trimmed = text.trim();
  if (/^rediss?-sentinel:/.test(trimmed)) return parseSentinelUrl(trimmed);
  const urls = trimmed.split(',').map((one) => one.trim());
  const places = urls.map(parseOne);
  const [first] = places;
  if (first === undefined || first === null || places.includes(null)) return null;
  if (urls.length === 1) return { kind: 'server', url: trimmed, at: first.at };
  return { kind: 'cluster', nodes: places.flatMap((place) => (place === null ? [] : [place.at])), ...first.access };
}

/** The addresses to ask first. */
export function redisAddresses(place: RedisPlace): readonly HostPort[] {
  if (place.kind === 'server') return [place.at];
  return place.kind === 'cluster' ? place.nodes : place.sentinels;
}

function parseOne(text: string): { at: HostPort; access: Access } | null {
  const url = URL.parse(text);
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === '' || !/^(\/\d{0,5})?$/.test(url.pathname)) return null;
  return { at: addressOf(url, REDIS_PORT), access: accessOf(url.username, url.password, url.protocol === 'rediss:') };
}

function parseSentinelUrl(text: string): RedisPlace | null {
  const [, tls, user = '', hosts = '', name = '', database, query = ''] = SENTINEL_URL.exec(text) ?? [];
  const asked = new URLSearchParams(query);
  const [sentinelUsername, sentinelPassword] = SENTINEL_PARAMETERS.map((parameter) => asked.get(parameter) ?? '');
  if ([...asked.keys()].some((key) => !SENTINEL_PARAMETERS.includes(key)) || (sentinelUsername !== '' && sentinelPassword === ''))
    return null;
  const sentinels = hosts.split(',').map((host) => URL.parse(`redis://${host.trim()}`));
  if (name === '' || sentinels.some((url) => url === null || url.hostname === '')) return null;
  const [username = '', ...password] = user.split(':');
  return {
    kind: 'sentinel',
    sentinels: sentinels.flatMap((url) => (url === null ? [] : [addressOf(url, SENTINEL_PORT)])),
    name,
    database: Number(database ?? 0),
    ...accessOf(username, password.join(':'), tls === 's'),
    ...(sentinelUsername ? { sentinelUsername } : {}),
    ...(sentinelPassword ? { sentinelPassword } : {}),
  };
}

function addressOf({ hostname, port }: URL, defaultPort: number): HostPort {
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || defaultPort };
}

function accessOf(username: string, password: string, tls: boolean): Access {
  return {
    ...(username === '' ? {} : { username: decoded(username) }),
    ...(password === '' ? {} : { password: decoded(password) }),
    tls,
  };
}

/** A password that is not percent-encoded may contain a %. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
