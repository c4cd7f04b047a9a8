import type { Completable, CompletableFlag, CompletableKey } from './completable.ts';

/** Needs only bash 3.2, not the package bash-completion. */
export function bashCompletion(commands: readonly Completable[], routeKeys: readonly CompletableKey[]): string {
  return `# Completion of pullproxy for bash. Load it: source <(pullproxy completion bash)
_pullproxy() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" i
  COMPREPLY=()
  # After -- stands another program's line.
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ "\${COMP_WORDS[i]}" == -- ]]; then COMPREPLY=($(compgen -f -- "$cur")); return; fi
  done
  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')} --help --version" -- "$cur")); return; fi
  case "\${COMP_WORDS[1]} $prev" in
${commands.flatMap(({ name, flags }) => flags.flatMap((flag) => afterFlag(name, flag))).join('\n')}
  esac
  case "\${COMP_WORDS[1]}" in
${commands.map((command) => ofCommand(command, routeKeys)).join('\n')}
  esac
}
_pullproxy_routes() { pullproxy route list 2>/dev/null | cut -d' ' -f1; }
complete -o nosort -F _pullproxy pullproxy 2>/dev/null || complete -F _pullproxy pullproxy`;
}

function afterFlag(command: string, { flag, value }: CompletableFlag): string[] {
  if (value === 'none') return [];
  const found =
    value === 'file'
      ? 'COMPREPLY=($(compgen -f -- "$cur")); '
      : value === 'other'
        ? ''
        : `COMPREPLY=($(compgen -W "${value.join(' ')}" -- "$cur")); `;
  return [`    "${command} ${flag}") ${found}return ;;`];
}

function ofCommand({ name, flags, words, beforeRoute, beforeSettings }: Completable, routeKeys: readonly CompletableKey[]): string {
  const lines = [`    ${name})`];
  const complete = (list: string): string => `COMPREPLY=($(compgen -W "${list}" -- "$cur")); return`;
  lines.push('      if [[ "$cur" != -* ]]; then');
  if (words.length > 0) lines.push(`        if ((COMP_CWORD == 2)); then ${complete(words.join(' '))}; fi`);
  for (const word of beforeRoute) {
    const at = word === '' ? 'COMP_CWORD == 2' : `COMP_CWORD == 3`;
    const verb = word === '' ? '' : `[[ "\${COMP_WORDS[2]}" == ${word} ]] && `;
    lines.push(`        if ${verb}((${at})); then ${complete('$(_pullproxy_routes)')}; fi`);
  }
  if (beforeSettings !== null) {
    const keys = routeKeys.map(({ key }) => `${key}=`).join(' ');
    // bash divides words at =, too.
    lines.push(
      `        if [[ "\${COMP_WORDS[2]}" == ${beforeSettings} && "$cur" == = ]]; then cur=; i=$((COMP_CWORD - 1)); elif [[ "$prev" == = ]]; then i=$((COMP_CWORD - 2)); else i=0; fi`,
      '        if ((i > 3)); then',
      `          case "\${COMP_WORDS[i]}" in`,
      ...routeKeys.flatMap(({ key, values }) => (values.length === 0 ? [] : [`            ${key}) ${complete(values.join(' '))} ;;`])),
      '          esac',
      '          return',
      '        fi',
      `        if [[ "\${COMP_WORDS[2]}" == ${beforeSettings} ]] && ((COMP_CWORD > 3)); then compopt -o nospace 2>/dev/null; ${complete(keys)}; fi`,
    );
  }
  lines.push('        :', '      fi', `      COMPREPLY=($(compgen -W "${flags.map(({ flag }) => flag).join(' ')}" -- "$cur")) ;;`);
  return lines.join('\n');
}
