import { leaveRing } from '../../cluster/directory.ts';
import { createRedisBell } from '../../cluster/redis/open.ts';
import { DRAIN } from '../../config/commands/drain.ts';
import { nodeId, problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ConfigError } from '../../errors.ts';
import { createLog } from '../../log.ts';
import { showHelp } from '../help/show-help.ts';
import { answering } from './with-directory.ts';

/** Asks a node to leave. Exits with 1 when there is no such node. */
export async function drain(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(DRAIN, argv);
  if (loaded === null) return showHelp(DRAIN);
  const { redis, delayMs } = loaded.values;
  const node = readNode(loaded.operands);
  const bell = createRedisBell({ url: redis, log: createLog('pullproxy', 'silent') });
  return answering(redis, bell, async () => {
    if (await bell.ring(node, leaveRing(delayMs))) return 0;
    console.error(`pullproxy: there is no node ${node} ("pullproxy status" shows all nodes)`);
    return 1;
  });
}

function readNode([written = '', extra]: readonly string[]): string {
  const id = nodeId.read(written);
  if (id === null) throw new ConfigError([problem('drain', written, nodeId.expected)]);
  if (extra !== undefined) throw new ConfigError([problem('drain', extra, 'nothing more')]);
  return id;
}
