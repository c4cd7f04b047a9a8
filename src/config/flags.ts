import { parseArgs } from 'node:util';
import { environmentName, type Setting } from './settings.ts';

export interface CommandLine {
  /** Raw values by flag name; a switch has `true`. */
  readonly given: ReadonlyMap<string, readonly unknown[]>;
  readonly operands: readonly string[];
  /** Everything after `--`. */
  readonly tail: readonly string[];
  readonly help: boolean;
  readonly problems: readonly string[];
}

/** Splits a command line; values are checked elsewhere. Problems are collected, so that one run shows all of them. */
export function readFlags(argv: readonly string[], settings: readonly Setting<unknown>[], operandsAllowed: boolean): CommandLine {
  const end = argv.indexOf('--');
  const line = end < 0 ? argv : argv.slice(0, end);
  const tail = end < 0 ? [] : argv.slice(end + 1);
  const byFlag = new Map(settings.map((one) => [one.flag, one]));
  const given = new Map<string, unknown[]>();
  const operands: string[] = [];
  const problems: string[] = [];
  let help = false;
  // The setting that a bare word may still belong to: `--proxy a:1 b:2`.
  let open: Setting<unknown> | undefined;

  for (const token of tokensOf(line, settings)) {
    if (token.kind === 'positional') {
      if (open !== undefined) add(given, open.flag, token.value);
      else if (operandsAllowed) operands.push(token.value);
      else problems.push(`"${token.value}": expected a flag; put -- before the command to run`);
      continue;
    }
    if (token.kind !== 'option') continue;
    open = undefined;
    const known = byFlag.get(token.name);
    if (token.name === 'help') help = true;
    else if (known === undefined) problems.push(unknownFlag(token.rawName, [...byFlag.keys()]));
    else if (known.form === 'switch') add(given, known.flag, token.value ?? true);
    else if (token.value === undefined) {
      problems.push(`--${known.flag} has no value: expected ${known.expected}`);
    } else {
      add(given, known.flag, token.value);
      if (known.form === 'many' && !operandsAllowed) open = known;
    }
  }
  return { given, operands, tail, help, problems };
}

/** The raw value in the environment; an empty one counts as absent, because compose files and unit files leave empty variables. */
export function readEnvironment(environment: NodeJS.ProcessEnv, { flag }: Setting<unknown>): string | undefined {
  const value = environment[environmentName(flag)];
  return value === '' ? undefined : value;
}

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number];

function* tokensOf(line: readonly string[], settings: readonly Setting<unknown>[]): Generator<Token> {
  const options = Object.fromEntries(
    settings.map(({ flag, letter, form }) => [
      flag,
      {
        type: form === 'switch' ? ('boolean' as const) : ('string' as const),
        multiple: true,
        ...(letter === undefined ? {} : { short: letter }),
      },
    ]),
  );
  const help = { type: 'boolean' as const, short: 'h' };
  const { tokens } = parseArgs({ args: [...line], options: { ...options, help }, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind === 'option' && token.inlineValue === false && token.value.startsWith('-')) {
      // `--secret --redis URL`: the value is missing, and parseArgs took the next flag for it.
      yield { ...token, value: undefined, inlineValue: undefined };
      yield* tokensOf(line.slice(token.index + 1), settings);
      return;
    }
    yield token;
  }
}

function add(given: Map<string, unknown[]>, flag: string, value: unknown): void {
  const values = given.get(flag);
  if (values === undefined) given.set(flag, [value]);
  else values.push(value);
}

function unknownFlag(rawName: string, known: readonly string[]): string {
  const name = rawName.replace(/^-+/, '');
  const near = known.find((flag) => distance(flag, name) <= 2) ?? known.find((flag) => name.length >= 4 && flag.includes(name));
  return `${rawName}: expected a known flag${near === undefined ? '' : `; is --${near} meant?`}`;
}

/** Levenshtein's edit distance. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + same));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
