import { STATUS } from '../config/commands.ts';
import { loadCommand } from '../config/load.ts';
import { showHelp } from './show-help.ts';

export async function status(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(STATUS, argv);
  if (loaded === null) return showHelp(STATUS);
  return 0;
}
