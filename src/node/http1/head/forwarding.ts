/** The forwarding headers for the application: from this node, and from trusted proxies in front of it. */
import { isIP, isIPv6 } from 'node:net';
import { type Origin, plainAddress } from '../../clients/origin.ts';
import type { TrustedProxies } from '../../clients/trusted-proxies.ts';

/** The lines that this node adds to each request's head, besides the forwarding headers. */
export interface HeadAdditions {
  readonly via: boolean;
  /** This node records traces: a request without a `traceparent` begins one. */
  readonly traceparent: boolean;
}

export interface ForwardedFrom {
  /** The client's connection, or that of the proxy in front. */
  readonly origin: Pick<Origin, 'address' | 'text'>;
  readonly proto: 'http' | 'https';
  /** Set when it is a proxy that is believed about its own clients: those that are. */
  readonly proxies?: Pick<TrustedProxies, 'has'> | undefined;
  /** The version of HTTP, where the request itself does not say it. */
  readonly version?: '2.0';
  readonly additions?: HeadAdditions;
}

/** For a request through a trusted proxy: the values of the proxies before us, to which ours is added. */
export class Forwarding {
  readonly #said = new Map<string, string>();
  readonly #proxies: Pick<TrustedProxies, 'has'>;

  constructor(proxies: Pick<TrustedProxies, 'has'>) {
    this.#proxies = proxies;
  }

  /** One of its headers, `name` in lower case. True: its line is to go, `lines` says it again. */
  note(name: string, value: string): boolean {
    // Disguised with an underscore, it is what a client hopes that its application takes for another.
    if (name.includes('_')) return true;
    if (!SAID_AGAIN.has(name)) return false;
    if (value !== '') this.#said.set(name, join(this.#said.get(name), value));
    return true;
  }

  /** The scheme that the first client used, in lower case. */
  get proto(): string | undefined {
    const said = this.#said.get('x-forwarded-proto')?.split(',')[0]?.trim().toLowerCase();
    return said ?? this.#elements[0]?.get('proto')?.toLowerCase();
  }

  /** The last address on the way that is no trusted proxy's: what stands before it anybody may have written. `peer`: the proxy that sent it. */
  client(peer: string): string {
    const list = this.#said.get('x-forwarded-for');
    const path = list?.split(',') ?? this.#elements.map((one) => one.get('for') ?? '');
    let client = peer;
    for (const hop of path.slice(-HOPS_MAX).reverse()) {
      const address = addressOf(hop);
      if (address === null) return client;
      client = address;
      if (!this.#proxies.has(address)) return client;
    }
    return client;
  }

  get #elements(): readonly ReadonlyMap<string, string>[] {
    const said = this.#said.get('forwarded');
    return said === undefined ? [] : readElements(said);
  }

  #protoOf(from: ForwardedFrom): string {
    const said = this.#elements[0]?.get('proto')?.toLowerCase();
    return said === 'http' || said === 'https' ? said : from.proto;
  }

  /** With what this node adds. */
  with(from: ForwardedFrom, host: string): Forwarded {
    const path = join(this.#said.get('x-forwarded-for'), from.origin.address);
    const elements = this.#said.get('forwarded');
    return forwarded(
      path,
      this.#said.get('x-forwarded-proto') ?? this.#protoOf(from),
      this.#said.get('x-forwarded-host') ?? host,
      elements === undefined ? '' : join(elements, element(from, host)),
    );
  }
}

/** Proxies in a row that are looked at. */
const HOPS_MAX = 32;
/** RFC 7239 section 4: a pair, and what comes behind it. A quoted value has its quotes. */
const PAIR = /[ \t]*([\w!#$%&'*+.^`|~-]*)(?:=("(?:[^"\\]|\\.)*"|[^",;]*))?[ \t]*([,;]?)/y;

/** The elements of a Forwarded header, each as its pairs. It ends where it is malformed. */
function readElements(said: string): Map<string, string>[] {
  const elements = [new Map<string, string>()];
  PAIR.lastIndex = 0;
  for (let match = PAIR.exec(said); match !== null && match[0] !== ''; match = PAIR.exec(said)) {
    const [, name = '', value = '', behind] = match;
    if (name !== '')
      elements.at(-1)?.set(name.toLowerCase(), value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, '$1') : value.trim());
    if (behind === ',') elements.push(new Map());
    else if (behind !== ';') break;
  }
  return elements;
}

/** The address in an element of `X-Forwarded-For` or of `for=`, without port and brackets. Null: it is a name, or `unknown`. */
function addressOf(hop: string): string | null {
  const text = hop.trim();
  const [, inBrackets, ipv4] = /^(?:\[([\da-fA-F:.%\w]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(text) ?? [];
  const address = inBrackets ?? ipv4 ?? text;
  return isIP(address) === 0 ? null : plainAddress(address);
}

const SAID_AGAIN: ReadonlySet<string> = new Set(['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host']);

/** The fields that tell the application how the request came here. */
export class Forwarded {
  readonly path: string;
  readonly proto: string;
  readonly host: string;
  /** The value of `Forwarded`; empty: nobody has said it. */
  readonly elements: string;
  /** As header lines. */
  readonly lines: string;

  constructor(path: string, proto: string, host: string, elements: string) {
    this.path = path;
    this.proto = proto;
    this.host = host;
    this.elements = elements;
    const hostLine = host === '' ? '' : `X-Forwarded-Host: ${host}\r\n`;
    const elementsLine = elements === '' ? '' : `Forwarded: ${elements}\r\n`;
    this.lines = `X-Forwarded-For: ${path}\r\nX-Forwarded-Proto: ${proto}\r\n${hostLine}${elementsLine}`;
  }

  /** As names and values. */
  addTo(fields: string[]): void {
    fields.push('x-forwarded-for', this.path, 'x-forwarded-proto', this.proto);
    if (this.host !== '') fields.push('x-forwarded-host', this.host);
    if (this.elements !== '') fields.push('forwarded', this.elements);
  }
}

/** The peer of the last request: the next one often comes from the same client, or through the same proxy. */
let last = new Forwarded('', '', '', '');

export function forwarded(path: string, proto: string, host: string, elements = ''): Forwarded {
  const isAsBefore = path === last.path && host === last.host && proto === last.proto && elements === last.elements;
  if (!isAsBefore) last = new Forwarded(path, proto, host, elements);
  return last;
}

/** RFC 7239 section 4. */
function element({ origin: { address }, proto }: ForwardedFrom, host: string): string {
  const node = isIPv6(address) ? `"[${address}]"` : address;
  return `for=${node};proto=${proto}${host === '' ? '' : `;host="${host}"`}`;
}

function join(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}
