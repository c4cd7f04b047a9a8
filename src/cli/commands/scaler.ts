import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AdminServer } from '../../admin/server.ts';
import type { StartDirectory } from '../../cluster/directory.ts';
import { createRedisDirectory } from '../../cluster/redis/open.ts';
import { SCALER } from '../../config/commands/scaler.ts';
import { inheritedEnvironment } from '../../config/environment.ts';
import { problem } from '../../config/kinds.ts';
import { kubernetesPlaceOf } from '../../config/kubernetes-api.ts';
import { loadCommand } from '../../config/load.ts';
import { secretOf } from '../../config/secret-file.ts';
import type { Values } from '../../config/settings.ts';
import { inTemporaryDirectory } from '../../config/temporary-directory.ts';
import { readVersion } from '../../config/version.ts';
import { ConfigError, messageOf } from '../../errors.ts';
import { EventRecorder } from '../../events/recorder.ts';
import { createLog, type Log } from '../../log.ts';
import { selectCommandEnvironment } from '../../scaling/command-environment.ts';
import { OutputFiles } from '../../scaling/output-files.ts';
import { Scaler } from '../../scaling/scaler.ts';
import { StartupJobReader } from '../../scaling/startup-job-reader.ts';
import { StartupQueue } from '../../scaling/startup-queue.ts';
import { showHelp } from '../help/show-help.ts';
import { openTracing } from '../node/telemetry.ts';
import { installLastResort } from '../process/last-resort.ts';
import { firstSignal, logIgnoredSignals } from '../process/signals.ts';
import { warnOfUnknownVariables } from '../process/unknown-variables.ts';
import { scalerAdminSource } from '../scaler/scaler-admin.ts';

/** Time after the end of the last command. */
const LEAVE_MS = 10_000;

/** Runs the startup command for waiting clients, until it is told to leave. */
export async function scaler(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(SCALER, argv);
  if (loaded === null) return showHelp(SCALER);
  const { values: settings, tail: command } = loaded;

  const signalled = firstSignal();
  const asked = Promise.withResolvers<void>();
  const log = createLog('scaler', settings.logLevel);
  const net = installLastResort(log);
  warnOfUnknownVariables(log);
  logIgnoredSignals(log);
  const tracing = await openTracing(settings.tracing, `scaler@${hostname()}:${process.pid}`, log);
  const outputs = openOutputs(settings.outputDir, log);
  const directory = createRedisDirectory({ url: settings.redis, log });
  const recorder = new EventRecorder(`scaler ${hostname()}`);
  recorder.sendTo(directory);
  const discovery = await openDiscovery(settings, directory, log);
  const worker = new Scaler({
    ...(discovery === null ? {} : { starter: discovery }),
    redisUrl: settings.redis,
    directory,
    command,
    cancelCommand: settings.cancelCommand,
    allowRouteCommands: settings.allowRouteCommands,
    agentsOnly: settings.agentsOnly,
    rate: settings.rate,
    parallel: settings.parallel,
    commandTimeoutMs: settings.commandTimeoutMs,
    outputs,
    environment: selectCommandEnvironment(inheritedEnvironment(), settings.commandEnv),
    ...(tracing === null ? {} : { began: (facts) => tracing.commands.begin(facts) }),
    log,
  });
  const queue = new StartupQueue({ redisUrl: settings.redis, directory, log });
  const reader = new StartupJobReader(settings.redis);
  const jobs = (max: number) => reader.read(max);
  let joined = false;
  const changeJob = (id: string, change: 'retry' | 'remove') => reader[change](id);
  const rate = () => reader.rate();
  const facts = { directory, worker, queue, jobs, rate, changeJob, version: readVersion(), recorder, isJoined: () => joined };
  const source = scalerAdminSource({ ...facts, leave: asked.resolve });
  const admin =
    settings.admin === undefined
      ? null
      : new AdminServer({ listen: settings.admin, token: settings.adminToken, metricsOpen: settings.adminMetricsOpen, log, source });
  // Before the worker, so that health and metrics tell when Redis is away.
  const bound = await admin?.start();
  const leaving = Promise.race([signalled, asked.promise, net.broken]);
  const ready = worker.start().then(() => {
    joined = true;
    log.info({ admin: bound }, 'ready');
  });
  await Promise.race([leaving, ready.then(() => leaving)]);

  log.info('scaler draining');
  // Its commands end by their timeout. While Redis is away their results can't be stored.
  await Promise.race([worker.close(), delay(net.drainMs(settings.commandTimeoutMs + LEAVE_MS))]);
  await discovery?.close();
  await recorder.flush();
  recorder.close();
  await queue.close();
  await reader.close();
  await directory.close();
  outputs?.close();
  await admin?.stop();
  await tracing?.close();
  log.info('scaler stopped');
  return net.exitCode(0);
}

/** Null: nothing is discovered. */
async function openDiscovery(settings: Values<typeof SCALER.settings>, directory: StartDirectory, log: Log) {
  const { discover, dockerHost, dockerLabel, proxy: proxies, linkVersionMin } = settings;
  if (discover === undefined) return null;
  if (discover === 'kubernetes') {
    const { KubernetesStarter } = await import('../../discovery/kubernetes/kubernetes-starter.ts');
    const starter = new KubernetesStarter({ place: kubernetesPlaceOf(settings), directory, log });
    starter.begin();
    return starter;
  }
  // Loaded only here: other scalers have no linker in them.
  const { Discovery } = await import('../../discovery/discovery.ts');
  const { openSource } = await import('../../discovery/open.ts');
  const { nodeTlsOf } = await import('../../linker/tls-files.ts');
  const secret = secretOf(settings);
  const source = openSource({ discover, dockerHost, dockerLabel });
  const discovery = new Discovery({ source, directory, proxies, secret, tls: nodeTlsOf(settings), linkVersionMin, log });
  discovery.begin();
  return discovery;
}

/** Null: no directory can be written, and none was asked for. @throws ConfigError when the one that was asked for can't be written */
function openOutputs(asked: string | undefined, log: Log): OutputFiles | null {
  const name = `pullproxy-${process.getuid?.() ?? 'output'}`;
  try {
    return asked === undefined
      ? inTemporaryDirectory((directory) => new OutputFiles(join(directory, name), log))
      : new OutputFiles(asked, log);
  } catch (error) {
    const reason = messageOf(error);
    if (asked !== undefined)
      throw new ConfigError([problem('--output-dir', asked, `a directory of this user that can be written (${reason})`)]);
    log.warn(
      { reason },
      'startup commands write into pipes of this process: programs that they leave running may end with it (--output-dir)',
    );
    return null;
  }
}
