import { matchesGlob, parseSleepRule, type SleepRule } from '../../config/sleep-rules.ts';

/** What is compared of a path and of a User-Agent: patterns are compared with no longer text. */
const PATH_CHARS_MAX = 2_048;
const AGENT_CHARS_MAX = 1_024;

/** Requests that find an instance, or do without: they start none, and keep none awake. */
export class SleepRules {
  readonly #rules: readonly SleepRule[];
  readonly #looksAtAgents: boolean;

  constructor(rules: readonly string[]) {
    this.#rules = rules.flatMap((rule) => parseSleepRule(rule) ?? []);
    this.#looksAtAgents = this.#rules.some(({ by }) => by === 'agent');
  }

  /** `head`: the request's head as the application gets it. */
  match(method: string, head: Buffer): boolean {
    const text = head.toString('latin1');
    const path = pathOf(text);
    const agent = this.#looksAtAgents ? agentOf(text) : null;
    return this.#rules.some((rule) => {
      if (rule.by === 'agent') return agent !== null && matchesGlob(rule.agent, agent);
      return path !== null && (rule.method === null || rule.method === method) && matchesGlob(rule.path, path);
    });
  }
}

/** Without the query. Null: too long for any rule. */
function pathOf(head: string): string | null {
  const start = head.indexOf(' ') + 1;
  const [path = ''] = head.slice(start, head.indexOf(' ', start)).split('?', 1);
  return path.length > PATH_CHARS_MAX ? null : path;
}

/** In lower case, and as much of it as is compared. Null: it has none. */
function agentOf(head: string): string | null {
  const value = /\r\nuser-agent:[ \t]*([^\r]*)/i.exec(head)?.[1];
  return value === undefined ? null : value.slice(0, AGENT_CHARS_MAX).trimEnd().toLowerCase();
}
