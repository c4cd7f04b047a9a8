import { COMMANDS } from '../../config/commands/all.ts';
import { COMPLETION, SHELLS } from '../../config/commands/completion.ts';
import { problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ROUTE_KEYS } from '../../config/route-settings.ts';
import { ConfigError } from '../../errors.ts';
import { bashCompletion } from '../completion/bash.ts';
import { completable, completableKeys } from '../completion/completable.ts';
import { fishCompletion } from '../completion/fish.ts';
import { zshCompletion } from '../completion/zsh.ts';
import { showHelp } from '../help/show-help.ts';

const WRITERS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** Prints the completion script of a shell. */
export async function completion(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(COMPLETION, argv);
  if (loaded === null) return showHelp(COMPLETION);
  const [written, extra] = loaded.operands;
  const shell = SHELLS.find((one) => one === written);
  if (shell === undefined) {
    const expected = `one of ${SHELLS.join(', ')}`;
    throw new ConfigError([
      written === undefined ? `the shell is missing: expected ${expected}` : problem('completion', written, expected),
    ]);
  }
  if (extra !== undefined) throw new ConfigError([problem('completion', extra, 'nothing more')]);
  console.log(completionScript(shell));
  return 0;
}

export function completionScript(shell: (typeof SHELLS)[number]): string {
  return WRITERS[shell](COMMANDS.map(completable), completableKeys(ROUTE_KEYS));
}
