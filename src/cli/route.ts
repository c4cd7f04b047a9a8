import { ROUTES } from '../config/commands.ts';
import { loadCommand } from '../config/load.ts';
import { showHelp } from './show-help.ts';

export async function route(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(ROUTES, argv);
  if (loaded === null) return showHelp(ROUTES);
  return 0;
}
