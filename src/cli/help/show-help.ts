import type { Described } from '../../config/command-spec.ts';

/** Prints a command's help. The texts are loaded only here, because a running command does not need them. */
export async function showHelp(spec: Described): Promise<number> {
  const { commandHelp } = await import('./help.ts');
  console.log(commandHelp(spec));
  return 0;
}
