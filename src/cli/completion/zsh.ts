import type { Completable, CompletableFlag, CompletableKey } from './completable.ts';

/** Shows a description beside each command and flag. */
export function zshCompletion(commands: readonly Completable[], routeKeys: readonly CompletableKey[]): string {
  return `#compdef pullproxy
# Completion of pullproxy for zsh. Load it after compinit: source <(pullproxy completion zsh)
_pullproxy() {
  local -a found
  # After -- stands another program's line.
  if (( \${words[(I)--]} > 0 && \${words[(I)--]} < CURRENT )); then _files; return; fi
  if (( CURRENT == 2 )); then
    found=(${commands.map(({ name, summary }) => described(name, summary)).join(' ')})
    _describe command found
    return
  fi
  case "\${words[2]} \${words[CURRENT-1]}" in
${commands.flatMap(({ name, flags }) => flags.flatMap((flag) => afterFlag(name, flag))).join('\n')}
  esac
  case "\${words[2]}" in
${commands.map((command) => ofCommand(command, routeKeys)).join('\n')}
  esac
}
_pullproxy_routes() { compadd -- \${(f)"$(pullproxy route list 2>/dev/null | cut -d' ' -f1)"} }
if [[ "\${funcstack[1]}" == _pullproxy ]]; then _pullproxy "$@"; else compdef _pullproxy pullproxy; fi`;
}

function afterFlag(command: string, { flag, value }: CompletableFlag): string[] {
  if (value === 'none') return [];
  const found = value === 'file' ? '_files; ' : value === 'other' ? '' : `compadd -- ${value.join(' ')}; `;
  return [`    '${command} ${flag}') ${found}return ;;`];
}

function ofCommand({ name, flags, words, beforeRoute, beforeSettings }: Completable, routeKeys: readonly CompletableKey[]): string {
  const lines = [`    ${name})`];
  if (words.length > 0) lines.push(`      if (( CURRENT == 3 )); then compadd -- ${words.join(' ')}; fi`);
  for (const word of beforeRoute) {
    const at = word === '' ? '(( CURRENT == 3 ))' : `[[ "\${words[3]}" == ${word} ]] && (( CURRENT == 4 ))`;
    lines.push(`      if ${at}; then _pullproxy_routes; fi`);
  }
  if (beforeSettings !== null) {
    const keys = routeKeys.map(({ key }) => `${key}=`).join(' ');
    const choices = routeKeys
      .flatMap(({ key, values }) => (values.length === 0 ? [] : [`${key}) compadd -- ${values.join(' ')} ;;`]))
      .join(' ');
    lines.push(
      `      if [[ "\${words[3]}" == ${beforeSettings} ]] && (( CURRENT > 4 )); then`,
      `        if [[ "$PREFIX" == *=* ]]; then local key="\${PREFIX%%=*}"; compset -P '*='; case "$key" in ${choices} esac; return; fi`,
      `        compadd -S '' -- ${keys}`,
      '      fi',
    );
  }
  lines.push(`      found=(${flags.map(({ flag, help }) => described(flag, help)).join(' ')})`, '      _describe -o flag found ;;');
  return lines.join('\n');
}

/** `'name:description'`: a colon divides the two, a quote ends the word. */
function described(name: string, help: string): string {
  return `'${name}:${help.replaceAll("'", "'\\''").replaceAll(':', '\\:')}'`;
}
