import type { Described } from '../../config/command-spec.ts';

/** Prints a command's help; the texts are loaded only now, since a command that runs has no use for them. */
export async function showHelp(spec: Described): Promise<number> {
  const { commandHelp } = await import('./help.ts');
  console.log(commandHelp(spec));
  return 0;
}
