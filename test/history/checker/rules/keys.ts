/** A key that has an instance of its own is not served by more of them than its route allows: two would not know of each other's work. */
import type { Disturbances } from '../disturbances.ts';
import { type Line, type Report, type Rule, SECOND } from '../line.ts';

/** Fewer are allowed: for so long those that are there may go on. */
const FEWER = 60 * SECOND;

interface App {
  readonly route: string;
  /** Its first request. */
  served: Line | null;
}

interface Allowed {
  now: number;
  /** The largest of late. */
  lately: number;
  movedAt: number;
}

export class Keys implements Rule {
  /** By start id: those that have not been told to end. */
  readonly #apps = new Map<string, App>();
  readonly #allowed = new Map<string, Allowed>();
  readonly #disturbances: Disturbances;
  readonly #report: Report;

  constructor(disturbances: Disturbances, report: Report) {
    this.#disturbances = disturbances;
    this.#report = report;
  }

  take(line: Line): void {
    const { event, by } = line;
    switch (event.e) {
      case 'route':
        if (event.route.includes('~')) this.#allows(event.route, event.maxInstances, event.t);
        return;
      case 'up':
        if (event.route.includes('~')) this.#apps.set(by.name, { route: event.route, served: null });
        return;
      case 'begin':
        this.#began(line);
        return;
      case 'told':
      case 'gone':
        this.#apps.delete(by.name);
        return;
      case 'fault':
        if (event.does === 'dies' && event.of?.startsWith('linker:') === true) this.#apps.delete(event.of.slice('linker:'.length));
    }
  }

  #allows(route: string, most: number, t: number): void {
    const allowed = this.#allowed.get(route) ?? { now: most, lately: most, movedAt: t };
    const before = t < allowed.movedAt + FEWER ? allowed.lately : allowed.now;
    this.#allowed.set(route, { now: most, lately: Math.max(most, before), movedAt: t });
  }

  #began(line: Line): void {
    const app = this.#apps.get(line.by.name);
    if (app === undefined || app.served !== null) return;
    app.served = line;
    const serving = [...this.#apps.values()].filter((other) => other.route === app.route && other.served !== null);
    const most = this.#allowed.get(app.route)?.lately ?? Number.POSITIVE_INFINITY;
    const { t } = line.event;
    if (serving.length <= most || this.#disturbances.disturbed(t, t)) return;
    const lines = serving.map(({ served }) => served as Line);
    this.#report({ rule: 'its key', text: `${app.route} is served by ${serving.length} instances, and may have ${most}`, lines });
  }
}
