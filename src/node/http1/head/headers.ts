/** Which headers a proxy looks at, and how their values are read. */

/** The headers that mean something to a proxy. Everything else passes as it came. */
export type KnownHeader =
  | 'te'
  | 'date'
  | 'host'
  | 'expect'
  | 'upgrade'
  | 'trailer'
  | 'forwarded'
  | 'connection'
  | 'keep-alive'
  | 'tracestate'
  | 'traceparent'
  | 'x-request-id'
  | 'grpc-timeout'
  | 'authorization'
  | 'persistent-auth'
  | 'www-authenticate'
  | 'proxy-authenticate'
  | 'proxy-authorization'
  | 'content-length'
  | 'proxy-connection'
  | 'transfer-encoding'
  | 'pullproxy-concurrency'
  /** Any name that begins so. */
  | 'x-forwarded-'
  /** One of these with an underscore for a hyphen: applications that turn names into variables (CGI, WSGI) can't tell them apart. */
  | 'disguised';

const BY_LENGTH: readonly (readonly KnownHeader[])[] = [
  [],
  [],
  ['te'],
  [],
  ['host', 'date'],
  [],
  ['expect'],
  ['upgrade', 'trailer'],
  [],
  ['forwarded'],
  ['connection', 'keep-alive', 'tracestate'],
  ['traceparent'],
  ['x-request-id', 'grpc-timeout'],
  ['authorization'],
  ['content-length'],
  ['persistent-auth'],
  ['proxy-connection', 'www-authenticate'],
  ['transfer-encoding'],
  ['proxy-authenticate'],
  ['proxy-authorization'],
  [],
  ['pullproxy-concurrency'],
];
const NONE: readonly KnownHeader[] = [];
const FORWARDED_PREFIX = 'x-forwarded-';

type Likeness = 'same' | 'disguised' | 'other';

/** The known header with the name of `length` bytes at `start`, or null. Compares bytes: no string is made for other headers. */
export function knownHeader(bytes: Buffer, start: number, length: number): KnownHeader | null {
  for (const name of BY_LENGTH[length] ?? NONE) {
    const like = likeness(bytes, start, name);
    if (like !== 'other') return like === 'same' ? name : 'disguised';
  }
  const forwarded = length > FORWARDED_PREFIX.length && likeness(bytes, start, FORWARDED_PREFIX) !== 'other';
  return forwarded ? FORWARDED_PREFIX : null;
}

/** The same, of a name in lower case. */
export function knownName(name: string): KnownHeader | null {
  const plain = name.includes('_') ? name.replaceAll('_', '-') : name;
  for (const known of BY_LENGTH[name.length] ?? NONE) {
    if (known === plain) return name === plain ? known : 'disguised';
  }
  return plain.length > FORWARDED_PREFIX.length && plain.startsWith(FORWARDED_PREFIX) ? FORWARDED_PREFIX : null;
}

function likeness(bytes: Buffer, start: number, name: string): Likeness {
  let like: Likeness = 'same';
  for (let i = 0; i < name.length; i++) {
    // Setting bit 5 lower-cases letters and leaves the hyphen as it is. It makes 0x7f of an underscore, which no name contains.
    const byte = (bytes[start + i] as number) | 0x20;
    const wanted = name.charCodeAt(i);
    if (byte === wanted) continue;
    if (byte !== 0x7f || wanted !== 0x2d) return 'other';
    like = 'disguised';
  }
  return like;
}

export function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09;
}

/** Nearly all lists with one member are one of these: nothing is allocated for them. */
const SINGLE_MEMBERS = new Map(
  ['keep-alive', 'Keep-Alive', 'close', 'Close', 'upgrade', 'Upgrade'].map((value) => [value, [value.toLowerCase()]]),
);

/** The members of a comma-separated list, lower-cased. */
export function listMembers(value: string): readonly string[] {
  const single = SINGLE_MEMBERS.get(value);
  if (single !== undefined) return single;
  return value
    .toLowerCase()
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
}

/** The end of a media range that the client does not want. */
const UNWANTED = /^\s*;\s*q=0(\.0*)?\s*(,|$)/i;

/** Whether `Accept` names a media type, and not with `q=0` (RFC 9110 section 12.5.1). `named`: a global pattern that finds its name. */
export function acceptsType(accept: string, named: RegExp): boolean {
  for (const { 0: found, index } of accept.matchAll(named)) if (!UNWANTED.test(accept.slice(index + found.length))) return true;
  return false;
}

/**
 * Schemes that authenticate the connection, not the request (RFC 4559 section 6, MS-NTHT): after the handshake the application serves
 * that user whatever comes on the same connection.
 */
const BINDING_SCHEMES = /(?:^|,)[ \t]*(?:ntlm|negotiate|kerberos|nego2)(?![\w-])/i;

/** Whether a list of credentials or of challenges names such a scheme. */
export function bindsConnection(value: string): boolean {
  return BINDING_SCHEMES.test(value);
}
