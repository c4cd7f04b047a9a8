/** The rules of a route's `match`: hosts, or hosts with the beginning of a path, such as `example.com/api`. */
import { ConfigError } from '../errors.ts';
import { type Kind, problem, ruleList } from './kinds.ts';
import { validRouteName } from './route-name.ts';

/** The most rules of one route. */
const RULES_MAX = 64;
/** Segments of a prefix. */
const PREFIX_SEGMENTS_MAX = 8;
const PREFIX_CHARS_MAX = 200;
/** Characters that nobody encodes or decodes on the way (RFC 3986 section 2.3). */
const SEGMENT = /^[A-Za-z0-9._~-]+$/;

export interface MatchRule {
  /** A host, `*.example.com` or `*`, as names of routes are. */
  readonly host: string;
  /** Empty, or whole segments: `/api/v1`. */
  readonly prefix: string;
}

/** Null: it is no rule. */
export function parseMatchRule(text: string): MatchRule | null {
  const slash = text.indexOf('/');
  const host = validRouteName(slash === -1 ? text : text.slice(0, slash));
  if (host === null) return null;
  const prefix = slash === -1 ? '' : text.slice(slash).replace(/\/$/, '');
  if (prefix === '') return { host, prefix };
  const segments = prefix.slice(1).split('/');
  const isOne = segments.every((segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..');
  return isOne && segments.length <= PREFIX_SEGMENTS_MAX && prefix.length <= PREFIX_CHARS_MAX ? { host, prefix } : null;
}

const rules = ruleList(
  `HOST or HOST/PREFIX, at most ${RULES_MAX}, such as ["shop.com", "www.shop.com", "example.com/shop"]; a prefix is made of whole segments of letters, digits and . _ ~ -`,
  RULES_MAX,
  (text) => {
    const rule = parseMatchRule(text);
    return rule === null ? null : `${rule.host}${rule.prefix}`;
  },
);

/** Each rule once. */
export const matchRules: Kind<readonly string[]> = {
  ...rules,
  read(value) {
    const read = rules.read(value);
    return read && Object.freeze([...new Set(read)]);
  },
};

/** The rules of a route: those of its `match`, or else the host that it is named after. */
export function rulesOf(name: string, match: unknown): readonly string[] {
  return match === undefined ? [name] : (matchRules.read(match) ?? []);
}

/** A host and prefix that belong to another route: nobody could say which of the two a request is for. */
export function takenProblem(label: string, rule: string, owner: string): string {
  return problem(label, rule, `hosts and prefixes of its own: this one belongs to the route ${owner}`);
}

/** `others`: the routes as they are stored. @throws ConfigError when a host and prefix of the route's belong to another one. */
export function checkMatch(
  name: string,
  { match }: Readonly<Record<string, unknown>>,
  others: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
): void {
  const own = new Set(rulesOf(name, match));
  const problems: string[] = [];
  for (const [other, settings] of others) {
    if (other === name) continue;
    const taken = rulesOf(other, settings.match).filter((rule) => own.has(rule));
    problems.push(...taken.map((rule) => takenProblem(match === undefined ? 'route' : 'match', rule, other)));
  }
  if (problems.length > 0) throw new ConfigError(problems);
}
