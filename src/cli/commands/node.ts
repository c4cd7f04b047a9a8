import { AdminServer } from '../../admin/server.ts';
import { NODE } from '../../config/commands/node.ts';
import { loadCommand } from '../../config/load.ts';
import { createLog } from '../../log.ts';
import { warnOfWeakSecrets } from '../files/secrets.ts';
import { showHelp } from '../help/show-help.ts';
import { checkNode } from '../node/check-node.ts';
import { loadSettled } from '../node/load-settled.ts';
import { newNodeId, openNode } from '../node/open-node.ts';
import { installLastResort } from '../process/last-resort.ts';
import { firstSignal, Hangups, logIgnoredSignals } from '../process/signals.ts';
import { warnOfUnknownVariables } from '../process/unknown-variables.ts';
import { supervise } from '../workers/supervise.ts';

/** One proxy process: node and admin port, until it is told to leave. With `--workers` it only supervises the workers. */
export async function node(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(NODE, argv);
  if (loaded === null) return showHelp(NODE);
  const { values: settings } = loaded;
  if (settings.check) return checkNode(settings);
  const log = createLog('node', settings.logLevel);
  const net = installLastResort(log);
  warnOfUnknownVariables(log);
  if (settings.workers > 1) return supervise(argv, loaded, log, net);
  logIgnoredSignals(log, ['SIGHUP']);
  const hangups = new Hangups();

  const signalled = firstSignal();
  const { listen, backend, advertise, id = newNodeId() } = settings;
  const load = () => loadSettled(argv, settings);
  const open = await openNode(loaded, { id, listen, backend, advertise }, { log, load });
  const admin = new AdminServer({
    listen: settings.admin,
    token: settings.adminToken,
    metricsOpen: settings.adminMetricsOpen,
    log,
    source: open.source,
  });
  log.info({ ...open.bound, admin: await admin.start(), id, advertise: open.advertise }, 'ready');
  if (settings.discover === undefined || settings.secret !== undefined || settings.secretFile !== undefined)
    warnOfWeakSecrets(settings, log);
  const { reloading } = open;
  reloading.onApplied(({ adminToken: token, adminMetricsOpen: metricsOpen }) => admin.renewed({ token, metricsOpen }));
  hangups.each(() => void reloading.reload().catch(() => {}));

  const delayMs = await Promise.race([signalled.then(() => undefined), open.leaveAsked, net.broken.then(() => 0)]);
  const { drainTimeoutMs, drainDelayMs } = reloading.values;
  await open.close(net.drainMs(drainTimeoutMs), delayMs ?? drainDelayMs);
  await admin.stop();
  log.info('node stopped');
  return net.exitCode(0);
}
