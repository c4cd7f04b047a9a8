import type { Described } from '../../config/command-spec.ts';
import { SHELLS } from '../../config/commands/completion.ts';
import type { Setting } from '../../config/settings.ts';

/** The words to complete: the same for all shells. */
export interface Completable {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly CompletableFlag[];
  /** The first words after the command's name. */
  readonly words: readonly string[];
  /** The words, or (empty) the command itself, that a route's name follows. */
  readonly beforeRoute: readonly string[];
  /** The word that is followed by a route's name and then by settings, `key=`. */
  readonly beforeSettings: string | null;
}

export interface CompletableFlag {
  /** With its hyphens. */
  readonly flag: string;
  readonly help: string;
  /** Its value: nothing, one of these words, a file, or any text. */
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

/** Parses the usage, `list | get NAME | set NAME key=value...`: each verb with its arguments. */
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
