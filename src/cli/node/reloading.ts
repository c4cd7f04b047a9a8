/** Reads the configuration of a running process anew: everything is read and checked before the first setting changes. */
import { type ReloadOutcome, ReloadRefused, type ReloadReport } from '../../admin/reload-report.ts';
import type { Loaded } from '../../config/load.ts';
import type { Settings, Values } from '../../config/settings.ts';
import { ConfigError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { inTurns } from '../files/in-turns.ts';
import { hasChanged, type Prepared, type Reloadable } from '../files/reloadable.ts';

export interface ReloadingOptions<S extends Settings> {
  readonly settings: S;
  /** The settings that count now. */
  readonly running: Loaded<S>;
  /** Reads them anew. @throws ConfigError */
  readonly load: () => Promise<Loaded<S> | null>;
  readonly parts: readonly Reloadable<FileSettings<S>>[];
  /** Settings that are read from `values` each time that they are needed. */
  readonly live: readonly (keyof S & string)[];
  readonly isLeaving: () => boolean;
  readonly log: Log;
}

/** All settings, and the routes of the file. */
export type FileSettings<S extends Settings> = Values<S> & { readonly routes: Loaded<S>['routes'] };

export interface PreparedReload {
  readonly report: ReloadReport;
  apply(): void;
  discard(): void;
}

export class Reloading<S extends Settings> {
  readonly #options: ReloadingOptions<S>;
  readonly #applied: ((values: Values<S>) => void)[] = [];
  #values: Values<S>;

  constructor(options: ReloadingOptions<S>) {
    this.#options = options;
    this.#values = options.running.values;
  }

  /** The settings that count now. */
  get values(): Values<S> {
    return this.#values;
  }

  /** Calls `tell` whenever settings have changed. */
  onApplied(tell: (values: Values<S>) => void): void {
    this.#applied.push(tell);
  }

  /** A call during a reload begins another one after it, because the files may have changed in between. @throws what says why nothing was changed */
  readonly reload: () => Promise<ReloadReport> = inTurns(() => this.#reload());

  async #reload(): Promise<ReloadReport> {
    const ready = await this.prepare();
    ready.apply();
    return ready.report;
  }

  /** Reads and checks; nothing changes. @throws as `reload` */
  async prepare(): Promise<PreparedReload> {
    const { load, parts, log } = this.#options;
    if (this.#options.isLeaving()) {
      log.info('nothing is reloaded: this process leaves');
      throw new ReloadRefused('this process leaves');
    }
    const ready: Prepared[] = [];
    try {
      const next = await load();
      if (next === null) throw new ConfigError(['--help: expected settings']);
      for (const part of parts) ready.push(part.prepare({ ...next.values, routes: next.routes }));
      return this.#prepared(next, ready);
    } catch (error) {
      for (const one of ready) one.discard?.();
      log.error({ err: error }, 'the new configuration can not be used: nothing was changed');
      throw error;
    }
  }

  #prepared(next: Loaded<S>, ready: readonly Prepared[]): PreparedReload {
    const outcomes = new Map<string, ReloadOutcome>();
    const values: Record<string, unknown> = { ...this.#values };
    const { settings, live } = this.#options;
    const ofParts = new Map(ready.flatMap((one) => [...one.outcomes]));
    for (const [name, { flag }] of Object.entries(settings)) {
      const isSame = JSON.stringify(this.#values[name]) === JSON.stringify(next.values[name]);
      const outcome = ofParts.get(flag) ?? (isSame ? 'unchanged' : live.includes(name) ? 'changed' : 'needs_restart');
      outcomes.set(flag, outcome);
      if (outcome === 'changed') values[name] = next.values[name];
    }
    const routes = ofParts.get('routes');
    if (routes !== undefined) outcomes.set('routes', routes);
    const report = { settings: [...outcomes].map(([name, outcome]) => ({ name, outcome })) };
    return {
      report,
      apply: () => {
        for (const one of ready) {
          if (hasChanged(one)) one.apply();
          else one.discard?.();
        }
        this.#values = Object.freeze(values) as Values<S>;
        for (const tell of this.#applied) tell(this.#values);
        this.#say(report);
      },
      discard() {
        for (const one of ready) one.discard?.();
      },
    };
  }

  #say({ settings }: ReloadReport): void {
    const named = (wanted: ReloadOutcome): string[] => settings.flatMap(({ name, outcome }) => (outcome === wanted ? [name] : []));
    const { log } = this.#options;
    log.info({ changed: named('changed') }, 'configuration reloaded');
    const late = named('needs_restart');
    if (late.length > 0) log.warn({ settings: late }, 'changed settings count only after a restart');
  }
}
