import { NODE } from '../config/commands.ts';
import { loadCommand } from '../config/load.ts';
import { showHelp } from './show-help.ts';

export async function node(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(NODE, argv);
  if (loaded === null) return showHelp(NODE);
  return 0;
}
