/** Access log and traces of a process, if they are wanted. */
import { inheritedEnvironment } from '../../config/environment.ts';
import { tracingWanted } from '../../config/telemetry.ts';
import { readVersion } from '../../config/version.ts';
import type { Log } from '../../log.ts';
import { AccessLog } from '../../node/visits/access-log.ts';
import type { VisitWatcher } from '../../node/visits/visit-record.ts';
import type { Tracing } from '../../tracing/tracing.ts';
import { AccessLogFile } from '../files/access-log-file.ts';
import type { Reloadable } from '../files/reloadable.ts';

interface TelemetrySettings {
  readonly accessLog: string;
  readonly accessLogSample: number;
  readonly tracing: boolean;
}

export interface Telemetry {
  readonly watchers: readonly VisitWatcher[];
  /** Lines of the access log without room; undefined without an access log. */
  dropped(): number | undefined;
  /** The access log goes to another file, or to the one that has its name now. */
  readonly accessLog: Reloadable<TelemetrySettings>;
  /** Writes and sends what still waits. */
  close(): Promise<void>;
}

/** Opens them for the node with this id. @throws ConfigError when the access log can't be written */
export async function openTelemetry(settings: TelemetrySettings, node: string, log: Log): Promise<Telemetry> {
  const { accessLog: target, accessLogSample: sample } = settings;
  const lines = target === 'off' ? null : new AccessLogFile(target, log);
  const tracing = await openTracing(settings.tracing, node, log);
  const watchers: VisitWatcher[] = [];
  // Traces come first, because the access log has the trace id.
  if (tracing !== null) watchers.push(tracing.visits);
  const accessLog = lines === null ? null : new AccessLog({ node, sample, write: (line) => lines.write(line) });
  if (accessLog !== null) watchers.push(accessLog);
  return {
    watchers,
    dropped: () => lines?.dropped,
    accessLog: reloadable(lines, accessLog),
    async close() {
      await Promise.all([lines?.close(), tracing?.close()]);
    },
  };
}

/** Loads OpenTelemetry only if traces are wanted. `instance`: the name of the process. */
export async function openTracing(asked: boolean, instance: string, log: Log): Promise<Tracing | null> {
  if (!tracingWanted(asked, inheritedEnvironment())) return null;
  const { startTracing } = await import('../../tracing/tracing.ts');
  return startTracing({ version: readVersion(), instance, log });
}

/** Whether visits are noted at all is decided at the start. */
function reloadable(lines: AccessLogFile | null, accessLog: AccessLog | null): Reloadable<TelemetrySettings> {
  return {
    prepare({ accessLog: target, accessLogSample: sample }) {
      const sampled = new Map([
        ['access-log-sample', accessLog === null || accessLog.sample === sample ? 'unchanged' : 'changed'] as const,
      ]);
      if (lines === null || accessLog === null || target === 'off') {
        const isSame = (lines === null) === (target === 'off');
        return { outcomes: new Map([...sampled, ['access-log', isSame ? 'unchanged' : 'needs_restart']]), apply() {} };
      }
      const opened = lines.prepare(target);
      return {
        outcomes: new Map([...sampled, ...opened.outcomes]),
        apply() {
          accessLog.sample = sample;
          opened.apply();
        },
        discard: () => opened.discard?.(),
      };
    },
  };
}
