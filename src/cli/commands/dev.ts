import { randomBytes } from 'node:crypto';
import { AdminServer } from '../../admin/server.ts';
import { unawaited } from '../../boundary.ts';
import { MemoryDirectory } from '../../cluster/memory/directory.ts';
import { createMemoryCluster } from '../../cluster/memory/open.ts';
import { routeDefaultsOf } from '../../config/commands/common-settings.ts';
import { DEV } from '../../config/commands/dev.ts';
import { inheritedEnvironment } from '../../config/environment.ts';
import { type HostPort, parseHostPort } from '../../config/host-port.ts';
import { loadCommand } from '../../config/load.ts';
import { writeRouteSettings } from '../../config/route-settings.ts';
import { readVersion } from '../../config/version.ts';
import { ConfigError } from '../../errors.ts';
import { EventRecorder } from '../../events/recorder.ts';
import { askedLimit } from '../../linker/asked-limit.ts';
import { createLog, writeToStderr } from '../../log.ts';
import { explainErrors } from '../../node/http1/own-responses.ts';
import { ProxyNode } from '../../node/node.ts';
import { EndedStarts, startCounts } from '../../scaling/ended-starts.ts';
import { LocalScaler } from '../../scaling/local.ts';
import { leavingWords } from '../dev/leaving-words.ts';
import { LocalInstances } from '../dev/local-instances.ts';
import { InstanceNames, instancePrefix, peopleLine } from '../dev/people-log.ts';
import { programProblem } from '../dev/program-check.ts';
import { welcome } from '../dev/welcome.ts';
import { followHttpsFiles, readHttpsFiles } from '../files/https-files.ts';
import { ticketKeys } from '../files/ticket-keys.ts';
import { showHelp } from '../help/show-help.ts';
import { nodeAdminSource } from '../node/node-admin.ts';
import { openTelemetry } from '../node/telemetry.ts';
import { installLastResort } from '../process/last-resort.ts';
import { watchParent } from '../process/parent-watch.ts';
import { logIgnoredSignals, onSignals } from '../process/signals.ts';
import { warnOfUnknownVariables } from '../process/unknown-variables.ts';
import { restartWith } from '../scaler/restart-with.ts';
import { paintFor } from '../terminal/paint.ts';

const BACKEND: HostPort = { host: '127.0.0.1', port: 0 };

/** Node, scaling and instances in one process, in memory. */
export async function dev(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(DEV, argv);
  if (loaded === null) return showHelp(DEV);
  const { values: settings, tail: command } = loaded;
  const unable = programProblem(command, inheritedEnvironment().PATH);
  if (unable !== null) throw new ConfigError([unable]);

  const leaving = Promise.withResolvers<void>();
  let exitCode = 0;
  const names = new InstanceNames();
  const forPeople = (settings.logFormat ?? (process.stdout.isTTY ? 'people' : 'json')) === 'people';
  const paint = paintFor(process.stdout);
  const log = createLog('dev', settings.logLevel, forPeople ? (line) => peopleLine(line, names, paint) : undefined);
  const net = installLastResort(log);
  warnOfUnknownVariables(log);
  const version = readVersion();
  const certificates = readHttpsFiles(settings, ticketKeys(settings, log).keys);
  const secret = randomBytes(32).toString('base64url');
  const { route, appProxyProtocol: proxyProtocol } = settings;
  const asked = askedLimit(settings.concurrency, settings.concurrencyMax);
  const routeDefaults = { ...routeDefaultsOf(settings), concurrency: Math.max(1, asked.concurrency) };
  const directory = new MemoryDirectory();
  const recorder = new EventRecorder('dev');
  recorder.sendTo(directory);
  await directory.setRoute(route, writeRouteSettings(routeDefaults));

  const telemetry = await openTelemetry(settings, 'dev', log);
  const node = await ProxyNode.start({
    ...settings,
    certificates,
    id: 'dev',
    log,
    backend: BACKEND,
    cluster: (bound) => createMemoryCluster({ self: { id: 'dev', address: bound }, version, log, directory }).cluster,
    startNeeded: (name, force) => scaler.request(name, force),
    secrets: () => [secret],
    routeDefaults,
    heldMax: settings.connectionsMax,
    watchers: telemetry.watchers,
  });
  const { bound } = node;
  if (certificates !== undefined) followHttpsFiles(settings, certificates, log);
  const proxy = parseHostPort(bound.backend) ?? BACKEND;
  const impossible = (why: string): void => {
    if (exitCode === 0) process.stderr.write(`pullproxy dev: ${why}.\n`);
    exitCode = 1;
    scaler.close();
    leaving.resolve();
  };
  const instances = new LocalInstances({
    proxy,
    route,
    asked,
    secret,
    command,
    proxyProtocol,
    times: settings,
    impossible,
    log,
    names,
    showLine: forPeople ? (number, text) => writeToStderr(`${instancePrefix(number, paintFor(process.stderr))}${text}\n`) : null,
  });
  explainErrors((code) => instances.lastFailure.explain(code));
  const ended = new EndedStarts({ directory, cancel: null, log });
  ended.start();
  const start = ({ startId, route: name }: { readonly startId: string; readonly route: string }): Promise<void> => {
    ended.watch(name, routeDefaults.startTimeoutMs);
    return instances.start(startId, name);
  };
  const scaler = new LocalScaler({ directory, start, log });
  const leave = (why: string): void => {
    process.stderr.write(leavingWords({ why, active: node.active, held: node.held, instances: instances.size, ...settings }));
    leaving.resolve();
  };
  const atOnce = (code: number): void =>
    unawaited(
      'application',
      instances.end().then(() => process.exit(code)),
    );
  // SIGHUP: the terminal is gone, and with it the person who would stop the instances.
  onSignals(leave, atOnce, ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP']);
  logIgnoredSignals(log, ['SIGHUP']);
  watchParent(() => leave('the process that started this one has ended'));

  const source = nodeAdminSource({
    node,
    version,
    redis: false,
    startedBy: 'this process',
    routeDefaults,
    jobs: async (max) => instances.jobs(max),
    changeJob: async (id, change) => instances.changeJob(id, change, () => scaler.request(route, 1)),
    restart: (name) => restartWith(directory, (one) => scaler.request(one), name),
    startAnother: (name) => scaler.request(name, 1),
    leave: () => leaving.resolve(),
    reload: null,
    startupCommands: () => new Map([[route, instances.results]]),
    starts: () => startCounts(ended.counts),
    accessLogDropped: telemetry.dropped,
    recorder,
  });
  const admin = new AdminServer({
    listen: settings.admin,
    token: settings.adminToken,
    metricsOpen: settings.adminMetricsOpen,
    log,
    source,
  });
  const adminAddress = await admin.start();
  log.info({ ...bound, admin: adminAddress }, 'ready');
  process.stderr.write(welcome({ listen: bound.listen, admin: adminAddress, route, command, minInstances: settings.minInstances }));

  await Promise.race([leaving.promise, net.broken]);
  log.info('dev draining');
  // If nothing can be started, no client waits for it.
  await node.drain(exitCode === 0 ? net.drainMs(settings.drainTimeoutMs) : 0);
  await scaler.close();
  ended.close();
  await instances.drain();
  await admin.stop();
  await telemetry.close();
  log.info('dev stopped');
  return net.exitCode(exitCode);
}
