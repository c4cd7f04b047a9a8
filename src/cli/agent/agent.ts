/** `linker --instances`: one process for several instances of this machine. */
import { hostname } from 'node:os';
import { unawaited } from '../../boundary.ts';
import { MACHINE_CHARS_MAX } from '../../config/agent-limits.ts';
import type { LINKER } from '../../config/commands/linker.ts';
import { inheritedEnvironment } from '../../config/environment.ts';
import type { InstanceRange } from '../../config/kinds.ts';
import { nameParts, slugOf } from '../../config/route-key.ts';
import { secretOf } from '../../config/secret-file.ts';
import type { Values } from '../../config/settings.ts';
import { readVersion } from '../../config/version.ts';
import { Agent, type AgentInstance, type InstanceOrder } from '../../linker/agent.ts';
import { AgentHome } from '../../linker/agent-home.ts';
import { askedLimit } from '../../linker/asked-limit.ts';
import { Control } from '../../linker/control.ts';
import { newInstanceId } from '../../linker/instance-id.ts';
import { Linker } from '../../linker/linker.ts';
import { affordableSlots, openFilesLimit } from '../../linker/open-files.ts';
import { nodeTlsOf } from '../../linker/tls-files.ts';
import type { Log } from '../../log.ts';
import { type LastResort, SHORT_DRAIN_MS } from '../process/last-resort.ts';
import { onSignals } from '../process/signals.ts';

/** Resolves with the exit code when it was told to leave and all instances are over. */
export async function runAgent(
  settings: Values<typeof LINKER.settings>,
  instances: InstanceRange,
  command: readonly string[],
  log: Log,
  net: LastResort,
): Promise<number> {
  const id = newInstanceId();
  const version = readVersion();
  // Each instance of this process may use its part of the files.
  const files = openFilesLimit();
  const share = files === null ? null : Math.floor(files / instances.most);
  const asked = askedLimit(settings.concurrency, settings.concurrencyMax, (slots) => affordableSlots(slots, share));
  if (typeof settings.concurrency === 'number' && asked.concurrency < settings.concurrency) {
    const reason = `${instances.most} instances share the limit of open files, ${files}: raise it (ulimit -n, LimitNOFILE=)`;
    const facts = { concurrency: asked.concurrency, asked: settings.concurrency, reason };
    log.warn(facts, 'the linker lends fewer slots than --concurrency says');
  }
  const links = {
    proxies: settings.proxy,
    secret: secretOf(settings),
    tls: nodeTlsOf(settings),
    linkVersionMin: settings.linkVersionMin,
  };
  const begin = async ({ route, startId, stays }: InstanceOrder): Promise<AgentInstance> => {
    const instance = newInstanceId();
    const own = log.child({ instance });
    // The agent says itself that an instance serves, or has left.
    own.level = log.isLevelEnabled('debug') ? log.level : 'warn';
    const { key } = nameParts(route);
    const linker = new Linker({
      ...settings,
      ...asked,
      ...links,
      route,
      app: undefined,
      control: await Control.openOwn(own),
      command,
      env: { ...inheritedEnvironment(), ...(key === null ? {} : { KEY: key, SLUG: slugOf(route) }) },
      startId,
      instance,
      version,
      proxyProtocol: settings.appProxyProtocol,
      stays,
      log: own,
    });
    return {
      instance,
      ready: linker.ready,
      get isLeaving() {
        return linker.control.picture.state === 'draining';
      },
      run: () => linker.run(),
      drain: (withinMs) => linker.drain(withinMs),
    };
  };
  const agent = new Agent({
    route: settings.route,
    ...instances,
    machine: hostname().slice(0, MACHINE_CHARS_MAX),
    begin,
    home: (events) =>
      new AgentHome(
        {
          ...links,
          versionMin: links.linkVersionMin,
          hello: { route: settings.route, instance: id, seq: Date.now(), concurrency: 1, version, agent: true },
          log,
        },
        events,
      ),
    log,
  });
  onSignals(
    () => agent.drain(),
    () => agent.drain(),
  );
  process.on('SIGHUP', () => agent.startAnother());
  unawaited(
    'unknown',
    net.broken.then(() => agent.drain(SHORT_DRAIN_MS)),
  );
  log.info({ route: settings.route, agent: id, ...instances }, 'ready');
  await agent.run();
  log.info({ route: settings.route, agent: id }, 'agent stopped');
  return net.exitCode(0);
}
