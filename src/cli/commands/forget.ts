import { FORGET } from '../../config/commands/forget.ts';
import { nodeId, problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ConfigError } from '../../errors.ts';
import { EventRecorder } from '../../events/recorder.ts';
import { createLog } from '../../log.ts';
import { showHelp } from '../help/show-help.ts';
import { withDirectory } from './with-directory.ts';

/** A missing node does not come back. Ends with 1 when no such node is missing. */
export async function forget(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(FORGET, argv);
  if (loaded === null) return showHelp(FORGET);
  const [written = '', extra] = loaded.operands;
  const node = nodeId.read(written);
  if (node === null) throw new ConfigError([problem('forget', written, nodeId.expected)]);
  if (extra !== undefined) throw new ConfigError([problem('forget', extra, 'nothing more')]);
  return withDirectory(loaded.values.redis, async (directory) => {
    if (!(await directory.forgetMissing(node))) {
      console.error(`pullproxy: no node ${node} is missing ("pullproxy status" shows those that are)`);
      return 1;
    }
    const recorder = new EventRecorder('pullproxy forget');
    recorder.sendTo(directory);
    createLog('pullproxy', 'silent');
    recorder.take(30, 'a missing node was forgotten', { node });
    await recorder.flush();
    recorder.close();
    return 0;
  });
}
