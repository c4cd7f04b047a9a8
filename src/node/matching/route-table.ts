/** Which route a host and a path belong to, for routes that say so by `match`. A lookup costs the same however many routes there are. */
import { parseMatchRule } from '../../config/match-rules.ts';
import type { RouteSettings } from '../../config/route-settings.ts';

/** The routes of one host. */
interface HostEntry {
  /** Prefix → name of the route; '' is the whole host. */
  readonly routes: Map<string, string>;
  /** The most segments of a prefix. */
  depth: number;
}

export interface TableMatch {
  readonly route: string;
  /** How much of the path the prefix took. */
  readonly prefix: string;
}

export class RouteTable {
  readonly #hosts = new Map<string, HostEntry>();
  readonly #owners = new Set<string>();
  /** Some host has a prefix. */
  #hasPrefixes = false;

  /** Null: no route has `match`. Nodes that were apart may have been given two routes with the same rule: the first by name has it. */
  static of(configured: ReadonlyMap<string, RouteSettings>): RouteTable | null {
    const matching = [...configured].filter(([, { match }]) => match !== undefined);
    return matching.length === 0 ? null : new RouteTable(matching.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  private constructor(routes: readonly (readonly [string, RouteSettings])[]) {
    for (const [name, { match = [] }] of routes) {
      this.#owners.add(name);
      for (const text of match) this.#add(text, name);
    }
  }

  #add(text: string, name: string): void {
    const rule = parseMatchRule(text);
    if (rule === null) return;
    const entry = this.#hosts.get(rule.host) ?? { routes: new Map<string, string>(), depth: 0 };
    this.#hosts.set(rule.host, entry);
    if (!entry.routes.has(rule.prefix)) entry.routes.set(rule.prefix, name);
    const depth = rule.prefix.split('/').length - 1;
    entry.depth = Math.max(entry.depth, depth);
    if (depth > 0) this.#hasPrefixes = true;
  }

  /** The route says by `match` what belongs to it: its name is no host. */
  owns(route: string): boolean {
    return this.#owners.has(route);
  }

  get hasPrefixes(): boolean {
    return this.#hasPrefixes;
  }

  /** `host`: a host or a wildcard, exactly. `path`: without its query. The longest prefix counts. */
  at(host: string, path: string): TableMatch | null {
    const entry = this.#hosts.get(host);
    if (entry === undefined) return null;
    const ends: number[] = [];
    for (let end = path.indexOf('/', 1); ends.length < entry.depth; end = path.indexOf('/', end + 1)) {
      ends.push(end === -1 ? path.length : end);
      if (end === -1) break;
    }
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
      const prefix = path.slice(0, end);
      const route = entry.routes.get(prefix);
      if (route !== undefined) return { route, prefix };
    }
    const route = entry.routes.get('');
    return route === undefined ? null : { route, prefix: '' };
  }
}

/** The path of a target, without its query; empty for `*` and for what has none. */
export function pathOf(target: string): string {
  if (!target.startsWith('/')) return '';
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
}

/** Applications read these in different ways: encodings, parameters of segments, back-slashes, empty segments and dots. */
const READ_IN_TWO_WAYS = /[%;\\]|\/\/|\/\./;

/** A longer path that can be read in two ways is refused unread, where prefixes are to be told apart: each reading costs time. */
const READ_CHARS_MAX = 1_024;
/** Some applications decode twice. */
const DECODINGS_MAX = 2;
const CHOICES = [false, true];

/**
 * The path in all the ways in which applications read it: decoded or not, `\` as `/` or not, with or without the parameters of segments and
 * empty segments, with dots followed (RFC 3986 section 5.2.4) or not. Empty: there is only one way. Null: it is too long to tell.
 */
export function readingsOf(path: string): ReadonlySet<string> | null {
  if (!READ_IN_TWO_WAYS.test(path)) return new Set();
  if (path.length > READ_CHARS_MAX) return null;
  const readings = new Set<string>();
  let text = path;
  for (let decodings = 0; decodings <= DECODINGS_MAX; decodings++) {
    for (const slashes of CHOICES) {
      const segments = (slashes ? text.replaceAll('\\', '/') : text).slice(1).split('/');
      for (const parameters of CHOICES) {
        const named = parameters ? segments : segments.map((segment) => segment.replace(/;.*$/s, ''));
        for (const empty of CHOICES) for (const dots of CHOICES) readings.add(joined(named, empty, dots));
      }
    }
    text = text.replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
  return readings;
}

/** `empty`: empty segments count. `dots`: so do dots. */
function joined(segments: readonly string[], empty: boolean, dots: boolean): string {
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '' && !empty) continue;
    if (dots || (segment !== '.' && segment !== '..')) kept.push(segment);
    else if (segment === '..') kept.pop();
  }
  return `/${kept.join('/')}`;
}
