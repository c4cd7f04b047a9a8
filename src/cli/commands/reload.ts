import { setTimeout as delay } from 'node:timers/promises';
import type { ReloadReport } from '../../admin/reload-report.ts';
import { createRedisBell } from '../../cluster/redis/open.ts';
import { RELOAD } from '../../config/commands/reload.ts';
import { formatHostPort, type HostPort } from '../../config/host-port.ts';
import { nodeId, problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ConfigError } from '../../errors.ts';
import type { ClusterEvent, EventLog } from '../../events/event.ts';
import { createLog } from '../../log.ts';
import { printableLines } from '../../printable.ts';
import { showHelp } from '../help/show-help.ts';
import { answering, withDirectory } from './with-directory.ts';

/** For the admin port. */
const RESPONSE_TIMEOUT_MS = 15_000;
/** Until the node has said in the event log what came of it; events leave a process once a second. */
const SAYS_MS_MAX = 15_000;
const LOOK_MS = 200;
const PAGE_MAX = 1_000;
/** A node's report of a reload. */
const SUCCEEDED = 'reloaded';
const FAILED = 'reload_failed';

/** Makes a node read its configuration anew. Exits with 1 when it does not. */
export async function reload(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(RELOAD, argv);
  if (loaded === null) return showHelp(RELOAD);
  const { redis, admin, adminToken, json } = loaded.values;
  const [written, extra] = loaded.operands;
  if (extra !== undefined) throw new ConfigError([problem('reload', extra, 'nothing more')]);
  if (admin !== undefined) {
    if (written !== undefined) throw new ConfigError([problem('reload', written, 'either a node or --admin')]);
    return reloadAt(admin, adminToken, json);
  }
  if (written === undefined)
    throw new ConfigError(['reload: expected the name of a node ("pullproxy status" shows all nodes), or --admin HOST:PORT']);
  const node = nodeId.read(written);
  if (node === null) throw new ConfigError([problem('reload', written, nodeId.expected)]);
  return reloadThrough(redis, node);
}

async function reloadAt(admin: HostPort, token: string | undefined, json: boolean): Promise<number> {
  const address = formatHostPort(admin);
  try {
    const response = await fetch(`http://${address}/api/v1/reload`, {
      method: 'POST',
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(RESPONSE_TIMEOUT_MS),
    });
    const said: unknown = await response.json();
    if (response.ok) {
      console.log(printableLines(json ? JSON.stringify(said, null, 2) : words(said as ReloadReport)));
      return 0;
    }
    const why = (said as { error?: { message?: unknown } }).error?.message;
    console.error(printableLines(`pullproxy: ${address} refuses with ${response.status}: ${String(why)}`));
  } catch (error) {
    const { message, cause } = error as Error;
    console.error(
      printableLines(`pullproxy: no admin port of a node responds at ${address}: ${cause instanceof Error ? cause.message : message}`),
    );
  }
  return 1;
}

function words({ settings }: ReloadReport): string {
  const named = (wanted: string): string[] => settings.flatMap(({ name, outcome }) => (outcome === wanted ? [name] : []));
  const late = named('needs_restart');
  return [
    `changed: ${named('changed').join(', ') || 'nothing'}`,
    ...(late.length === 0 ? [] : [`needs a restart: ${late.join(', ')}`]),
    `unchanged: ${named('unchanged').length} settings`,
  ].join('\n');
}

/** The result is in the event log. */
function reloadThrough(redis: string, node: string): Promise<number> {
  return withDirectory(redis, async (directory) => {
    const asked = await endOf(directory.eventLog);
    const bell = createRedisBell({ url: redis, log: createLog('pullproxy', 'silent') });
    return answering(redis, bell, async () => {
      if (!(await bell.ring(node, { t: 'reload' }))) {
        console.error(`pullproxy: there is no node ${node} ("pullproxy status" shows all nodes)`);
        return 1;
      }
      const event = await outcomeOf(node, directory.eventLog, asked);
      if (event === null)
        console.error(`pullproxy: ${node} was asked, and has not said in ${SAYS_MS_MAX / 1_000} s what came of it: see its log`);
      else (event.code === SUCCEEDED ? console.log : console.error)(printableLines(`${node} ${event.text}`));
      return event?.code === SUCCEEDED ? 0 : 1;
    });
  });
}

/** Events are told up to a second after they happened: the outcome of an earlier reload may still come. */
interface LogEnd {
  readonly id: string | null;
  /** By the directory's clock. */
  readonly now: number;
}

async function endOf(log: EventLog): Promise<LogEnd> {
  let id: string | null = null;
  for (;;) {
    const { events, now } = await log.since(id, PAGE_MAX);
    id = events.at(-1)?.id ?? id;
    if (events.length < PAGE_MAX) return { id, now };
  }
}

async function outcomeOf(node: string, log: EventLog, asked: LogEnd): Promise<ClusterEvent | null> {
  const until = performance.now() + SAYS_MS_MAX;
  let last = asked.id;
  while (performance.now() < until) {
    const { events } = await log.since(last, PAGE_MAX);
    const found = events.find(
      (event) => event.source === node && event.at >= asked.now && (event.code === SUCCEEDED || event.code === FAILED),
    );
    if (found !== undefined) return found;
    last = events.at(-1)?.id ?? last;
    await delay(LOOK_MS);
  }
  return null;
}
