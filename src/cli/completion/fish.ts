import type { Completable, CompletableFlag, CompletableKey } from './completable.ts';

/** One line for each completion, as fish wants it. */
export function fishCompletion(commands: readonly Completable[], routeKeys: readonly CompletableKey[]): string {
  return [
    '# Completion of pullproxy for fish. Put it into ~/.config/fish/completions/pullproxy.fish',
    'function __pullproxy_routes; pullproxy route list 2>/dev/null | string replace -r " .*" ""; end',
    // The words of the line so far, the program's name left out; nothing once another program's line has begun.
    'function __pullproxy_words; set -l words (commandline -opc)[2..]; contains -- -- $words; and return 1; string join \\n -- $words; return 0; end',
    // The words so far are these.
    'function __pullproxy_at; set -l words (__pullproxy_words); or return 1; test "$words" = "$argv"; end',
    'function __pullproxy_command; set -l words (__pullproxy_words); or return 1; test "$words[1]" = "$argv[1]"; end',
    'complete -c pullproxy -f',
    ...commands.map(({ name, summary }) => `complete -c pullproxy -n '__pullproxy_at' -a ${name} -d ${quoted(summary)}`),
    ...commands.flatMap((command) => ofCommand(command, routeKeys)),
  ].join('\n');
}

function ofCommand({ name, flags, words, beforeRoute, beforeSettings }: Completable, routeKeys: readonly CompletableKey[]): string[] {
  const lines = flags.map((flag) => ofFlag(name, flag));
  if (words.length > 0) lines.push(`complete -c pullproxy -n '__pullproxy_at ${name}' -a ${quoted(words.join(' '))}`);
  for (const word of beforeRoute) {
    const at = word === '' ? name : `${name} ${word}`;
    lines.push(`complete -c pullproxy -n '__pullproxy_at ${at}' -a '(__pullproxy_routes)'`);
  }
  if (beforeSettings !== null) {
    const keys = routeKeys.flatMap(({ key, values }) => [`${key}=`, ...values.map((value) => `${key}=${value}`)]).join(' ');
    const many = `set -l words (__pullproxy_words); and test (count $words) -ge 3 -a "$words[1]" = ${name} -a "$words[2]" = ${beforeSettings}`;
    lines.push(`complete -c pullproxy -n ${quoted(many)} -a ${quoted(keys)}`);
  }
  return lines;
}

function ofFlag(command: string, { flag, help, value }: CompletableFlag): string {
  const rest = value === 'none' ? '' : value === 'file' ? ' -r -F' : value === 'other' ? ' -x' : ` -x -a ${quoted(value.join(' '))}`;
  return `complete -c pullproxy -n '__pullproxy_command ${command}' -l ${flag.slice(2)}${rest} -d ${quoted(help)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
