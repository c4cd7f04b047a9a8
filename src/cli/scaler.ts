import { SCALER } from '../config/commands.ts';
import { loadCommand } from '../config/load.ts';
import { showHelp } from './show-help.ts';

export async function scaler(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(SCALER, argv);
  if (loaded === null) return showHelp(SCALER);
  return 0;
}
