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
  const verbs = name === 'route' ? usage.flatMap(wordsOf) : [];
  return {
    name,
    summary,
    flags: [...Object.values(settings).map(flagOf), { flag: '--help', help: 'explain this command', value: 'none' }],
    words: name === 'completion' ? SHELLS : verbs.map(([verb]) => verb),
    beforeRoute: name === 'inspect' || name === 'logs' ? [''] : verbs.filter(([, rest]) => rest.includes('NAME')).map(([verb]) => verb),
    beforeSettings: name === 'route' ? 'set' : null,
  };
}

/** A key of `key=value`, and the words that its value may be: of some values only a few can be offered. */
export interface CompletableKey {
  readonly key: string;
  readonly values: readonly string[];
}

export function completableKeys(keys: Readonly<Record<string, { readonly kind: { readonly placeholder: string } }>>): CompletableKey[] {
  return Object.entries(keys).map(([key, { kind }]) => {
    const choices = kind.placeholder.includes('|') ? kind.placeholder.split('|') : [];
    return { key, values: choices.filter((choice) => /^[a-z0-9-]+$/.test(choice)) };
  });
}

/** Parses the usage, `list | get NAME | set NAME key=value...`: each verb with its arguments. */
function wordsOf(usage: string): [verb: string, rest: string][] {
  return usage
    .replace(/ \[.*?(?= \| |$)/g, '')
    .split(' | ')
    .map((one) => {
      const [verb = '', ...rest] = one.trim().split(/\s+/);
      return [verb, rest.join(' ')];
    });
}

function flagOf({ flag, help, form, placeholder }: Setting<unknown>): CompletableFlag {
  const value = form === 'switch' ? 'none' : placeholder === 'FILE' ? 'file' : placeholder.includes('|') ? placeholder.split('|') : 'other';
  return { flag: `--${flag}`, help, value };
}
