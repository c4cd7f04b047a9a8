/** The worker's part of a reload: all workers have read and checked the configuration before the first one takes it. */
import type { ReloadReport } from '../../admin/reload-report.ts';
import type { PreparedReload } from '../node/reloading.ts';

export class PendingReload {
  readonly #reloading: { prepare(): Promise<PreparedReload> };
  #prepared: PreparedReload | null = null;

  constructor(reloading: { prepare(): Promise<PreparedReload> }) {
    this.#reloading = reloading;
  }

  async prepare(): Promise<ReloadReport> {
    this.discard();
    this.#prepared = await this.#reloading.prepare();
    return this.#prepared.report;
  }

  apply(): void {
    this.#prepared?.apply();
    this.#prepared = null;
  }

  discard(): void {
    this.#prepared?.discard();
    this.#prepared = null;
  }
}
