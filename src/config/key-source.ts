/** Route settings about keys: where a request says its key, which keys there may be, and who says whether one exists. */
import { argumentVector, type Kind, ruleList } from './kinds.ts';

export type KeySource =
  | { readonly from: 'host' }
  | { readonly from: 'header'; readonly name: string }
  | { readonly from: 'cookie'; readonly name: string }
  /** The segment of this number of the path, from 1 on. */
  | { readonly from: 'path'; readonly at: number };

/** A token of RFC 9110 section 5.6.2. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;
const PATTERNS_MAX = 64;
const PATTERN = /^(?:[A-Za-z0-9._@+=*?-]|\[[A-Za-z0-9._@+=-]{1,64}\]){1,128}$/;
const URL_CHARS_MAX = 2_000;
const URL_PATTERN = /^https?:\/\/[\x21-\x7e]+$/;

/** Names of headers are the same in upper and lower case, those of cookies are not (RFC 6265). */
export const keySource: Kind<KeySource> = {
  expected: 'host, header:NAME, cookie:NAME or path:N, the N-th segment of the path from 1 to 8',
  placeholder: 'host|header:NAME|cookie:NAME|path:N',
  read(value) {
    if (value === 'host') return Object.freeze({ from: 'host' });
    const [, from, name = ''] = (typeof value === 'string' && /^(header|cookie|path):(.*)$/.exec(value)) || [];
    if (from === 'path') return /^[1-8]$/.test(name) ? Object.freeze({ from, at: Number(name) }) : null;
    if (from === undefined || !NAME.test(name)) return null;
    return from === 'header' ? Object.freeze({ from, name: name.toLowerCase() }) : Object.freeze({ from: 'cookie', name });
  },
  write: (value) => (value.from === 'host' ? value.from : `${value.from}:${value.from === 'path' ? value.at : value.name}`),
};

/** Not a regular expression: a stranger's key must not cost more time than its length. */
export const keyPatterns: Kind<readonly string[]> = ruleList(
  `patterns such as ["main", "feature-*", "pr-[0-9]*"]: * is any text, ? one character, [a-f0-9] one of these; at most ${PATTERNS_MAX}`,
  PATTERNS_MAX,
  (text) => (PATTERN.test(text) ? text : null),
);

/** A URL is asked with GET, a command is run; `{key}`, `{slug}` and `{route}` stand for theirs. */
export const keyCheck: Kind<readonly string[]> = {
  expected: 'a URL such as http://127.0.0.1:9000/keys/{key}, or a program and its arguments as a JSON list of texts',
  placeholder: 'URL|ARGV',
  read(value) {
    if (typeof value === 'string' && URL_PATTERN.test(value)) {
      return value.length <= URL_CHARS_MAX && URL.canParse(value) ? Object.freeze([value]) : null;
    }
    return argumentVector.read(value);
  },
  write: (value) => (isUrl(value) ? (value[0] ?? '') : argumentVector.write(value)),
};

/** Whether a `keyCheck` is a URL; otherwise it is a command. */
export function isUrl(check: readonly string[]): boolean {
  return check.length === 1 && URL_PATTERN.test(check[0] ?? '');
}

/** Whether one of the patterns is for the whole key. The time grows with the lengths of both, whatever is in them. */
export function matchesPattern(patterns: readonly string[], key: string): boolean {
  return patterns.some((pattern) => matches(tokensOf(pattern), key));
}

type Token = '*' | ((char: string) => boolean);

function tokensOf(pattern: string): Token[] {
  return [...pattern.matchAll(/\[([^\]]*)\]|./g)].map(([text, list]): Token => {
    if (text === '*') return '*';
    if (text === '?') return () => true;
    return list === undefined ? (char) => char === text : oneOf(list);
  });
}

/** Characters and ranges; `-` at the beginning or the end is itself. */
function oneOf(list: string): (char: string) => boolean {
  const ranges = [...list.matchAll(/(.)-(.)|./g)].map(([text, from = text, to = text]) => [from, to] as const);
  return (char) => ranges.some(([from, to]) => char >= from && char <= to);
}

/** Goes back to the last `*` only: more is never needed. */
function matches(tokens: readonly Token[], text: string): boolean {
  let [token, at, star, starAt] = [0, 0, -1, 0];
  while (at < text.length) {
    const one = tokens[token];
    if (one === '*') [star, starAt, token] = [token, at, token + 1];
    else if (one?.(text[at] as string) === true) [token, at] = [token + 1, at + 1];
    else if (star === -1) return false;
    else [token, starAt, at] = [star + 1, starAt + 1, starAt + 1];
  }
  return tokens.slice(token).every((one) => one === '*');
}
