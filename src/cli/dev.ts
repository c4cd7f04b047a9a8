import { DEV } from '../config/commands.ts';
import { loadCommand } from '../config/load.ts';
import { showHelp } from './show-help.ts';

export async function dev(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(DEV, argv);
  if (loaded === null) return showHelp(DEV);
  return 0;
}
