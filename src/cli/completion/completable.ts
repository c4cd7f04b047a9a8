import type { Described } from '../../config/command-spec.ts';
import { SHELLS } from '../../config/commands/completion.ts';
import type { Setting } from '../../config/settings.ts';

/** What can be completed: the same for all shells. */
export interface Completable {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly CompletableFlag[];
  /** Words that stand first after the command's name. */
  readonly words: readonly string[];
  /** Those words, or (empty) the command itself, after which a route's name stands. */
  readonly beforeRoute: readonly string[];
  /** The word after which, behind a route's name, its settings stand as `key=`. */
  readonly beforeSettings: string | null;
}

export interface CompletableFlag {
  /** With its hyphens. */
  readonly flag: string;
  readonly help: string;
  /** What follows it: nothing, one of these words, a file, or something that nobody can guess. */
  readonly value: 'none' | 'file' | 'other' | readonly string[];
}

export function completable({ name, summary, settings, usage }: Described): Completable {
  const verbs = name === 'route' ? wordsOf(usage[0] ?? '') : [];
  return {
    name,
    summary,
    flags: [...Object.values(settings).map(flagOf), { flag: '--help', help: 'explain this command', value: 'none' }],
    words: name === 'completion' ? SHELLS : verbs.map(([verb]) => verb),
    beforeRoute: name === 'inspect' ? [''] : verbs.filter(([, rest]) => rest.includes('NAME')).map(([verb]) => verb),
    beforeSettings: name === 'route' ? 'set' : null,
  };
}

/** `list | get NAME | set NAME key=value...` as the usage says it: each verb with what follows it. */
function wordsOf(usage: string): [verb: string, rest: string][] {
  return usage
    .replace(/\[.*$/, '')
    .split('|')
    .map((one) => {
      const [verb = '', ...rest] = one.trim().split(/\s+/);
      return [verb, rest.join(' ')];
    });
}

function flagOf({ flag, help, form, placeholder }: Setting<unknown>): CompletableFlag {
  const value = form === 'switch' ? 'none' : placeholder === 'FILE' ? 'file' : placeholder.includes('|') ? placeholder.split('|') : 'other';
  return { flag: `--${flag}`, help, value };
}
