/** Access log and traces of a process, if they are wanted. */
import { inheritedEnvironment } from '../../config/environment.ts';
import { problem } from '../../config/kinds.ts';
import { tracingWanted } from '../../config/telemetry.ts';
import { readVersion } from '../../config/version.ts';
import { ConfigError, messageOf } from '../../errors.ts';
import { type LineFile, type Log, openLineFile } from '../../log.ts';
import { AccessLog } from '../../node/visits/access-log.ts';
import type { VisitWatcher } from '../../node/visits/visit-record.ts';
import type { Tracing } from '../../tracing/tracing.ts';

interface TelemetrySettings {
  readonly accessLog: string;
  readonly accessLogSample: number;
  readonly tracing: boolean;
}

export interface Telemetry {
  readonly watchers: readonly VisitWatcher[];
  /** Lines of the access log without room; undefined without an access log. */
  dropped(): number | undefined;
  /** Writes and sends what still waits. */
  close(): Promise<void>;
}

/** Opens them for the node with this id. @throws ConfigError when the access log can't be written */
export async function openTelemetry(settings: TelemetrySettings, node: string, log: Log): Promise<Telemetry> {
  const { accessLog: target, accessLogSample: sample } = settings;
  const lines = target === 'off' ? null : openAccessLog(target, log);
  const tracing = await openTracing(settings.tracing, node, log);
  const watchers: VisitWatcher[] = [];
  // Traces come first, because the access log has the trace id.
  if (tracing !== null) watchers.push(tracing.visits);
  if (lines !== null) watchers.push(new AccessLog({ node, sample, write: (line) => lines.write(line) }));
  return {
    watchers,
    dropped: () => lines?.dropped,
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

function openAccessLog(target: string, log: Log): LineFile {
  try {
    return openLineFile(target === 'stdout' ? target : { path: target }, (error) =>
      log.error({ err: error, file: target }, 'the access log can not be written'),
    );
  } catch (error) {
    const why = messageOf(error);
    throw new ConfigError([problem('--access-log', target, `a file that can be written (${why})`)]);
  }
}
