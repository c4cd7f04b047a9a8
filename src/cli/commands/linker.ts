import { unawaited } from '../../boundary.ts';
import { LINKER } from '../../config/commands/linker.ts';
import { inheritedEnvironment, linkerEnvironment } from '../../config/environment.ts';
import { loadCommand } from '../../config/load.ts';
import { keyedName } from '../../config/route-key.ts';
import { secretOf } from '../../config/secret-file.ts';
import { readVersion } from '../../config/version.ts';
import { askedLimit } from '../../linker/asked-limit.ts';
import { Control } from '../../linker/control.ts';
import { Linker } from '../../linker/linker.ts';
import { affordableSlots, openFilesLimit } from '../../linker/open-files.ts';
import { nodeTlsOf } from '../../linker/tls-files.ts';
import { createLog } from '../../log.ts';
import { showHelp } from '../help/show-help.ts';
import { installLastResort, SHORT_DRAIN_MS } from '../process/last-resort.ts';
import { logIgnoredSignals, onSignals } from '../process/signals.ts';
import { warnOfUnknownVariables } from '../process/unknown-variables.ts';

/** The sidecar: one instance of an application, or with `--instances` several. Exits with the application's code when the application ended by itself, else with 0. */
export async function linker(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(LINKER, argv, linkerEnvironment());
  if (loaded === null) return showHelp(LINKER);
  const { values: settings, tail: command } = loaded;
  const log = createLog('linker', settings.logLevel);
  const net = installLastResort(log);
  warnOfUnknownVariables(log);
  logIgnoredSignals(log, ['SIGHUP']);
  if (settings.instances !== undefined) {
    const { runAgent } = await import('../agent/agent.ts');
    return runAgent(settings, settings.instances, command, log, net);
  }
  const limit = openFilesLimit();
  const asked = askedLimit(settings.concurrency, settings.concurrencyMax, (slots) => affordableSlots(slots, limit));
  const { concurrency } = asked;
  if (typeof settings.concurrency === 'number' && concurrency < settings.concurrency) {
    const reason = `the limit of open files is ${limit}: raise it (ulimit -n, LimitNOFILE=)`;
    log.warn({ concurrency, asked: settings.concurrency, reason }, 'the linker lends fewer slots than --concurrency says');
  }
  const control = await (settings.control === undefined ? Control.openOwn(log) : Control.open(settings.control));
  const instance = new Linker({
    proxies: settings.proxy,
    route: settings.key === undefined ? settings.route : keyedName(settings.route, settings.key),
    ...asked,
    control,
    secret: secretOf(settings),
    app: settings.app,
    command: command.length > 0 ? command : undefined,
    env: inheritedEnvironment(),
    startId: settings.startId,
    version: readVersion(),
    tls: nodeTlsOf(settings),
    linkVersionMin: settings.linkVersionMin,
    log,
    startTimeoutMs: settings.startTimeoutMs,
    idleTimeoutMs: settings.idleTimeoutMs,
    oldIdleTimeoutMs: settings.oldIdleTimeoutMs,
    drainTimeoutMs: settings.drainTimeoutMs,
    stopTimeoutMs: settings.stopTimeoutMs,
    readyPath: settings.readyPath,
    lingerMs: settings.lingerMs,
    proxyProtocol: settings.appProxyProtocol,
  });
  // Even without a drain the application is stopped first: otherwise it would outlive the linker, without clients.
  onSignals(
    () => instance.drain(),
    () => instance.drain(),
  );
  process.on('SIGHUP', () => instance.startAnother());
  unawaited(
    'unknown',
    net.broken.then(() => instance.drain(SHORT_DRAIN_MS)),
  );
  return net.exitCode(await instance.run());
}
