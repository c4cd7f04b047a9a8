import { matchesGlob, parseSleepRule, type RequestRule, type SleepRule } from '../../config/sleep-rules.ts';

/** So much of a path and of a User-Agent is compared with patterns. */
const PATH_CHARS_MAX = 2_048;
const AGENT_CHARS_MAX = 1_024;

/** The parts of a request's head that rules compare. */
export interface SleepingHead {
  readonly method: string;
  readonly target: string;
  field(name: string): string | null;
}

/** Requests that find an instance, or do without: they start none, and keep none awake. */
export class SleepRules {
  readonly #rules: readonly SleepRule[];
  readonly #looksAtAgents: boolean;

  constructor(rules: readonly string[]) {
    this.#rules = rules.flatMap((rule) => parseSleepRule(rule) ?? []);
    this.#looksAtAgents = this.#rules.some(({ by }) => by === 'agent');
  }

  match(head: SleepingHead): boolean {
    const path = pathOf(head.target);
    const agent = this.#looksAtAgents ? head.field('user-agent')?.slice(0, AGENT_CHARS_MAX).trimEnd().toLowerCase() : undefined;
    return this.#rules.some((rule) => {
      if (rule.by === 'agent') return agent !== undefined && matchesGlob(rule.agent, agent);
      return matchesRequest(rule, head.method, path);
    });
  }
}

/** `path`: see `pathOf`. */
export function matchesRequest(rule: RequestRule, method: string, path: string | null): boolean {
  return path !== null && (rule.method === null || rule.method === method) && matchesGlob(rule.path, path);
}

/** Without the query. Null: too long for any rule. */
export function pathOf(target: string): string | null {
  const [path = ''] = target.split('?', 1);
  return path.length > PATH_CHARS_MAX ? null : path;
}
