import { type InternalErrors, internalErrors } from '../../boundary.ts';
import { NODE } from '../../config/commands/node.ts';
import { loadCommand } from '../../config/load.ts';
import { ConfigError } from '../../errors.ts';
import { createLog, type Log } from '../../log.ts';
import { TicketKeys } from '../../node/listeners/ticket-keys.ts';
import { SupervisorChannel } from '../../workers/supervisor-channel.ts';
import { followTicketKeyFiles, type TicketKeySource } from '../files/ticket-keys.ts';
import { loadSettled } from '../node/load-settled.ts';
import { type NodeLoaded, type NodePlace, openNode } from '../node/open-node.ts';
import { installLastResort } from '../process/last-resort.ts';
import { refusalText } from '../process/refusal.ts';
import { PendingReload } from './pending-reload.ts';

/** The facts that a worker sends. */
export interface WorkerFacts {
  readonly id: string;
  readonly joined: boolean;
  readonly redisConnected: boolean | null;
  readonly redisRefusal: string | null;
  readonly internalErrors: Readonly<Record<string, InternalErrors>>;
  readonly source: Pick<OpenSource, 'version' | 'startedBy' | 'routeDefaults'>;
}

type OpenSource = Awaited<ReturnType<typeof openNode>>['source'];

/** One of the processes of `node --workers`: a node without an admin port, which the supervisor has. Only the supervisor starts it. */
export async function worker(argv: readonly string[]): Promise<number> {
  const channel = new SupervisorChannel();
  try {
    return await work(channel, argv);
  } catch (error) {
    // The supervisor reports it, once for all workers. Our own bugs are logged here, with their stack.
    if (!(error instanceof ConfigError) && refusalText(error) === null) throw error;
    await channel.failed(error);
    return error instanceof ConfigError ? 2 : 1;
  }
}

async function work(channel: SupervisorChannel, [placed = '', ...argv]: readonly string[]): Promise<number> {
  const { number, ...place } = JSON.parse(placed) as NodePlace & { number: number };
  const loaded = await loadCommand(NODE, argv);
  if (loaded === null) return 2;
  const log = createLog('node', loaded.values.logLevel).child({ worker: number });
  const net = installLastResort(log);
  // Ctrl-C on a terminal reaches all processes; the supervisor decides when to leave, and how fast.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const) process.on(signal, () => {});

  const tickets = await ticketKeysOf(loaded.values, channel, log);
  const load = () => loadSettled(argv, loaded.values);
  const around = { log, load, tickets, reloadAsked: () => channel.askToReload() };
  const { bound, advertise, source, reloading, leaveAsked, close } = await openNode(loaded, place, around);
  const reload = new PendingReload(reloading);
  const { version, startedBy, routeDefaults } = source;
  const facts = (): WorkerFacts => {
    const { joined, redisConnected, redisRefusal } = source;
    const errors = internalErrors();
    return { id: place.id, joined, redisConnected, redisRefusal, internalErrors: errors, source: { version, startedBy, routeDefaults } };
  };
  channel.ready(facts, {
    state: () => source.state(),
    jobs: (max: number) => source.jobs(max),
    changeJob: (...args: Parameters<typeof source.changeJob>) => source.changeJob(...args),
    metrics: () => source.metrics(),
    events: (after: string | null, max: number) => source.events(after, max),
    history: (route: string | null) => source.history(route),
    forgetNode: (id: string) => source.forgetNode(id),
    drainNode: (id: string, delayMs?: number) => source.drainNode(id, delayMs),
    setRoute: (...args: Parameters<typeof source.setRoute>) => source.setRoute(...args),
    deleteRoute: (name: string) => source.deleteRoute(name),
    start: (name: string) => source.start(name),
    pause: (...args: Parameters<typeof source.pause>) => source.pause(...args),
    resume: (name: string) => source.resume(name),
    restart: (name: string) => source.restart(name),
    prepareReload: () => reload.prepare(),
    applyReload: () => reload.apply(),
    discardReload: () => reload.discard(),
  });
  log.info({ ...bound, id: place.id, advertise }, 'worker ready');

  // The supervisor was killed: a worker without one must not go on.
  const delayMs = await Promise.race([channel.left, leaveAsked, net.broken.then(() => 0)]);
  const { drainTimeoutMs, drainDelayMs } = reloading.values;
  await close(net.drainMs(drainTimeoutMs), delayMs ?? drainDelayMs);
  channel.close();
  log.info('worker stopped');
  return net.exitCode(0);
}

async function ticketKeysOf(settings: NodeLoaded['values'], channel: SupervisorChannel, log: Log): Promise<TicketKeySource> {
  const keys = new TicketKeys();
  if (settings.tlsTicketKeys.length > 0) return { keys, files: followTicketKeyFiles(settings, keys, log) };
  // This worker must read tickets of the other workers from its first connection on.
  await Promise.race([channel.ticketKeysGiven, channel.left]);
  channel.followTicketKeys((given) => keys.use(given));
  return { keys, files: null };
}
