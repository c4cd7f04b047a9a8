import type { ReloadReport } from '../../admin/reload-report.ts';
import { ConfigError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { PreparedReload } from '../node/reloading.ts';

/** These settings are the supervisor's own; workers are told what they are. */
const OF_SUPERVISOR: ReadonlySet<string> = new Set([
  ...['admin', 'admin-token', 'admin-metrics-open', 'workers'],
  ...['listen', 'backend', 'advertise', 'id'],
]);

interface ReloadableWorker {
  readonly state: string;
  call(method: string): Promise<unknown>;
}

/** One of them that can't use the new configuration keeps it from all. @throws its error */
export async function reloadWorkers(
  workers: readonly ReloadableWorker[],
  own: { prepare(): Promise<PreparedReload> },
  log: Log,
): Promise<ReloadReport> {
  const asked: ReloadableWorker[] = [];
  const tellAll = (method: string): Promise<unknown> => Promise.allSettled(asked.map((worker) => worker.call(method)));
  const reports: ReloadReport[] = [];
  let prepared: PreparedReload;
  try {
    for (const worker of workers) {
      asked.push(worker);
      const report = await worker.call('prepareReload').catch((error: unknown) => {
        // One that leaves is followed by one that reads the new configuration at its start.
        if (worker.state === 'ready') throw error;
        return null;
      });
      if (report !== null) reports.push(report as ReloadReport);
    }
    prepared = await own.prepare();
  } catch (error) {
    await tellAll('discardReload');
    // Faults of the configuration are logged where they are found.
    if (!(error instanceof ConfigError) && (error as Error).name !== 'ReloadRefused')
      log.error({ err: error }, 'the new configuration can not be used: nothing was changed');
    throw error;
  }
  await tellAll('applyReload');
  prepared.apply();
  return merged(prepared.report, reports[0] ?? prepared.report);
}

function merged(own: ReloadReport, ofWorkers: ReloadReport): ReloadReport {
  const kept = own.settings.filter(({ name }) => OF_SUPERVISOR.has(name));
  return { settings: [...ofWorkers.settings.filter(({ name }) => !OF_SUPERVISOR.has(name)), ...kept] };
}
