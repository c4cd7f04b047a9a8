import { LINKER } from '../config/commands.ts';
import { loadCommand } from '../config/load.ts';
import { showHelp } from './show-help.ts';

export async function linker(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(LINKER, argv);
  if (loaded === null) return showHelp(LINKER);
  return 0;
}
