/**
 * Requests that are no reason to run an instance, as a route's `sleepThrough` names them: `GET /healthz`, `* /robots.txt`, `ua:*bot*`. The only
 * special character is `*`, which stands for any text. So a pattern costs one search for each of its parts, whatever text it is compared with.
 */
import { ruleList } from './kinds.ts';

/** Rules of one route. */
const RULES_MAX = 32;
const RULE_CHARS_MAX = 256;

const METHOD_AND_PATH = /^([A-Za-z!#$%&'+.^_`|~0-9-]+|\*) +([/*][\x21-\x7e]*)$/;
const USER_AGENT = /^ua:([\x20-\x7e]*[\x21-\x7e])$/;

export type SleepRule = ({ readonly by: 'request' } & RequestRule) | { readonly by: 'agent'; readonly agent: Glob };

/** A method and a path, as `sleepThrough` and `costBy` write them. */
export interface RequestRule {
  /** Null: any. */
  readonly method: string | null;
  readonly path: Glob;
}

/** A pattern, cut at its stars. */
export type Glob = readonly string[];

/** Null: it is no rule. */
export function parseSleepRule(text: string): SleepRule | null {
  if (text.length > RULE_CHARS_MAX) return null;
  const agent = USER_AGENT.exec(text)?.[1];
  if (agent !== undefined) return { by: 'agent', agent: agent.trimStart().toLowerCase().split('*') };
  const request = parseRequestRule(text);
  return request === null ? null : { by: 'request', ...request };
}

/** `METHOD PATH`, with `*` for any method and for any text in the path. Null: it is no rule. */
export function parseRequestRule(text: string): RequestRule | null {
  const [, method, path] = METHOD_AND_PATH.exec(text) ?? [];
  if (method === undefined || path === undefined || text.length > RULE_CHARS_MAX) return null;
  return { method: method === '*' ? null : method.toUpperCase(), path: path.split('*') };
}

/** Whether the pattern stands for all of the text. Each part is looked for behind the one before, at its first place. */
export function matchesGlob([first = '', ...parts]: Glob, text: string): boolean {
  const last = parts.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length - at >= last.length && text.endsWith(last);
}

export const sleepRules = ruleList(
  `METHOD PATH and ua:PATTERN, with * for any text, at most ${RULES_MAX} in a list such as ["GET /healthz", "ua:*bot*"]`,
  RULES_MAX,
  (text) => (parseSleepRule(text) === null ? null : text),
);
