/** The settings of listeners: ports, certificates, and the limits of a client. */
import { addressRange } from './address-range.ts';
import { formatHostPort } from './host-port.ts';
import { choice, directoryPath, duration, filePath, listenAddress, problem, size, text, whole, yesNo } from './kinds.ts';
import { listenUrl } from './listen-url.ts';
import { ofMemory } from './memory-limit.ts';
import { many, onOff, optional, secret, setting, type Values } from './settings.ts';

export const CERTIFICATE = 'file with the certificate (PEM)';
export const PRIVATE_KEY = 'file with the private key (PEM)';
/** Shares of the memory that a process may use. With these a container of 256 MiB survives a crowd that fills them. */
export const MEMORY_SHARES = { heldBytesMax: 1 / 4, http2WindowBytesMax: 1 / 8, connectionsMax: 1 / 16_384 } as const;
/** Two years, as the preload lists of browsers recommend. */
const HSTS_MS_MAX = 17_520 * 3_600_000;

/** Limits for clients: a row here is a field of the node's `ClientLimits`. */
export const CLIENT_LIMITS = {
  headTimeoutMs: setting('head-timeout', duration(1), 10_000, 'how long a client may take to send the head of a request'),
  keepAliveTimeoutMs: setting('keep-alive-timeout', duration(1), 75_000, "how long a client's connection may be silent between requests"),
  stallTimeoutMs: setting(
    'stall-timeout',
    duration(1),
    60_000,
    'the connection of a client that for this time neither sends the rest of its request nor reads its response is closed',
  ),
  bodyRateMin: setting(
    'body-rate-min',
    size(0, 1024 ** 3),
    500,
    'bytes a second at which a client must send its body, once --body-grace has passed, and read its response, over each --stall-timeout; slower connections are closed. 0: only silence is limited',
  ),
  bodyGraceMs: setting('body-grace', duration(1), 10_000, 'how long a body that has a slot may take before --body-rate-min counts'),
  requestBufferBytes: setting(
    'request-buffer',
    size(0, 64 * 1024 ** 2),
    0,
    'a request gets a slot only when its body, or this much of it, has arrived, as in nginx; buffered bytes count for --held-bytes-max. 0: a body may arrive while it has a slot',
  ),
  tcpIdleTimeoutMs: setting(
    'tcp-idle-timeout',
    duration(0),
    3_600_000,
    'a connection at a tcp or tls listener that is silent for this time is closed; 0s: never',
  ),
  upgradeIdleTimeoutMs: setting(
    'upgrade-idle-timeout',
    duration(0),
    3_600_000,
    'the same for WebSockets and other connections that begin with an Upgrade; an HTTP response has no such limit',
  ),
  headBytesMax: setting('head-bytes-max', size(1024, 65_536), 16_384, 'largest head of a request; a larger one is answered with 431'),
  http2StreamsMax: setting('http2-streams-max', whole(1, 10_000), 100, 'requests at once on one connection of HTTP/2'),
  http2ResetsMax: setting(
    'http2-resets-max',
    whole(10, 1_000_000),
    1_000,
    'requests that a client may cancel at once on one connection of HTTP/2, and a tenth of this in each second (rapid reset, CVE-2023-44487); each completed request allows one more',
  ),
  http2ControlFramesMax: setting(
    'http2-control-frames-max',
    whole(10, 1_000_000),
    200,
    'frames without content (SETTINGS, PING, empty DATA and others) that a client or an application may send at once on one connection of HTTP/2, and a tenth of this in each second; each frame sent to it allows three more, each KiB of a received body one',
  ),
  http2WindowBytesMax: ofMemory(
    MEMORY_SHARES.http2WindowBytesMax,
    setting(
      'http2-window-bytes-max',
      size(0, Number.MAX_SAFE_INTEGER),
      256 * 1024 ** 2,
      'memory by which all windows of HTTP/2 uploads together may grow in one process; each begins with 64 KiB and grows to at most 16 MiB while the application reads. The default is at most an eighth of the memory that the process may use',
    ),
  ),
  connectionsMax: ofMemory(
    MEMORY_SHARES.connectionsMax,
    setting(
      'connections-max',
      whole(1, 1_000_000),
      50_000,
      'connections of clients at one listener; more are closed at once. The default is at most one for each 16 KiB of the memory that the process may use',
    ),
  ),
  connectionsPerAddressMax: optional(
    'connections-per-address-max',
    whole(1, 1_000_000),
    'connections of one address at this node (IPv6: of one /64); more are closed at once. Does not count for --trusted-proxies; without it only --connections-max counts',
  ),
  heldBytesMax: ofMemory(
    MEMORY_SHARES.heldBytesMax,
    setting(
      'held-bytes-max',
      size(65_536, Number.MAX_SAFE_INTEGER),
      1024 ** 3,
      'memory that waiting clients may occupy in one node. The default is at most a quarter of the memory that the process may use (of a container, of the machine)',
    ),
  ),
};

export type ClientLimits = Values<typeof CLIENT_LIMITS>;

/** Where clients connect, by default over http at `host`. */
export function listenSetting(host: string) {
  return many(
    'listen',
    listenUrl,
    [{ protocol: 'http', host, port: 8080, route: null, proxyProtocol: null }],
    'where clients connect; may be repeated. http, https (--tls-cert, --tls-key), tls (passed through by the name in the TLS handshake) or tcp',
  );
}

export const LISTENER_SETTINGS = {
  listen: listenSetting('0.0.0.0'),
  trustedProxies: many(
    'trusted-proxies',
    addressRange,
    [],
    'proxies in front of this node whose X-Forwarded-*, Forwarded and PROXY headers are believed; may be repeated',
  ),
  admin: setting('admin', listenAddress, { host: '127.0.0.1', port: 9090 }, 'address for health, metrics, the API and the dashboard'),
  adminToken: secret(
    'admin-token',
    text('TOKEN', 'at least one visible character', /^[\x21-\x7e]+$/),
    'token that calls to the admin port must have, except health checks; without it everybody who reaches the port can read, and changes work from this machine only',
  ),
  adminMetricsOpen: onOff('admin-metrics-open', yesNo, 'let /metrics be read without --admin-token'),
  tlsCert: many(
    'tls-cert',
    filePath,
    [],
    `${CERTIFICATE} of https listeners, for the names in it; may be repeated. Files that change are read again`,
  ),
  tlsKey: many('tls-key', filePath, [], `${PRIVATE_KEY} of https listeners; the first belongs to the first --tls-cert`),
  tlsDir: optional('tls-dir', directoryPath, 'directory with more certificates: NAME.crt or NAME.pem, each with its NAME.key'),
  tlsTicketKeys: many(
    'tls-ticket-keys',
    filePath,
    [],
    'file with 48 random bytes (openssl rand 48) that resume TLS sessions; may be repeated: the first one encrypts, all decrypt. Nodes that serve the same names should have the same files; without it each node has its own keys, changed every 12 h and shared by its workers. Files that change are read again',
  ),
  httpsRedirect: optional(
    'https-redirect',
    whole(1, 65_535),
    'redirects requests that come without TLS to https at this port, usually 443',
  ),
  hstsMs: optional(
    'hsts',
    duration(0, HSTS_MS_MAX),
    'sends Strict-Transport-Security: browsers then use only https for this time; 0s takes that back',
  ),
  via: setting(
    'via',
    choice('on', 'off'),
    'on',
    'whether requests get a Via header, as RFC 9110 asks of gateways. nginx does not compress responses to requests that have one, unless it says gzip_proxied',
  ),
  ...CLIENT_LIMITS,
  drainTimeoutMs: setting('drain-timeout', duration(0), 30_000, 'after SIGTERM: how long running requests may take to end'),
};

type Tls = {
  readonly listen: readonly { readonly protocol: string; readonly host: string; readonly port: number }[];
  readonly tlsCert: readonly string[];
  readonly tlsKey: readonly string[];
  readonly tlsDir?: string | undefined;
};

/** https listeners need certificates, each with its key. */
export function tlsProblems({ listen, tlsCert, tlsKey, tlsDir }: Tls): string[] {
  const https = listen.find(({ protocol }) => protocol === 'https');
  const missing = https !== undefined && tlsCert.length === 0 && tlsKey.length === 0 && tlsDir === undefined;
  if (missing) return [problem('--listen', `https://${formatHostPort(https)}`, '--tls-cert and --tls-key with it')];
  const paired = Math.min(tlsCert.length, tlsKey.length);
  return pairProblems(tlsCert[paired], tlsKey[paired], 'tls');
}

/** A certificate has its key, and a key its certificate. */
export function pairProblems(cert: string | undefined, key: string | undefined, prefix: string): string[] {
  if ((cert === undefined) === (key === undefined)) return [];
  return cert === undefined
    ? [problem(`--${prefix}-key`, key, `--${prefix}-cert with it`)]
    : [problem(`--${prefix}-cert`, cert, `--${prefix}-key with it`)];
}
