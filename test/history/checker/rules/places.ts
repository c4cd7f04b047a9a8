/** Nothing is sent to an instance that has left, to a route that is paused, or to an application of another route or key. */
import type { Began } from '../../events.ts';
import type { Disturbances } from '../disturbances.ts';
import { type Line, MS, type Report, type Rule } from '../line.ts';

/** What was on its way when the instance left: a recall takes as long as its link, and a request that waits at the linker is served. */
const ON_ITS_WAY = 1_000 * MS;

export class Places implements Rule {
  /** By start id. */
  readonly #apps = new Map<string, { readonly route: string; readonly active: Map<string, Line> }>();
  readonly #left = new Map<string, Line>();
  readonly #paused = new Map<string, Line>();
  readonly #disturbances: Disturbances;
  readonly #report: Report;

  constructor(disturbances: Disturbances, report: Report) {
    this.#disturbances = disturbances;
    this.#report = report;
  }

  take(line: Line): void {
    const { event, by } = line;
    switch (event.e) {
      case 'process':
        if (event.role === 'app' || event.role === 'linker') this.#left.delete(event.name);
        return;
      case 'up':
        this.#apps.set(by.name, { route: event.route, active: new Map() });
        return;
      case 'leaves':
        this.#left.set(by.name, line);
        return;
      case 'paused':
        this.#pauses(event.route, line);
        return;
      case 'resumes':
        this.#paused.delete(event.route);
        return;
      case 'end':
        this.#apps.get(by.name)?.active.delete(event.id);
        return;
      case 'fault':
        if (event.does === 'dies' && event.of?.startsWith('linker:') === true) this.#apps.delete(event.of.slice('linker:'.length));
        return;
      case 'begin':
        this.#began(line, event);
    }
  }

  #pauses(route: string, line: Line): void {
    this.#paused.set(route, line);
    for (const app of this.#apps.values())
      if (app.route === route && app.active.size > 0 && !this.#isDisturbed(line.event.t, line.event.t))
        this.#say('paused', `${route} is paused, and has ${app.active.size} in flight`, [line, ...app.active.values()]);
  }

  #began(line: Line, { id, host, key, t }: Began): void {
    const app = this.#apps.get(line.by.name);
    if (app === undefined) return;
    app.active.set(id, line);
    const route = key === undefined ? host : `${host}~${key}`;
    if (app.route !== route) this.#say('its route', `${id} is for ${route} and reached an application of ${app.route}`, [line]);
    const paused = this.#paused.get(app.route);
    if (paused !== undefined && !this.#isDisturbed(paused.event.t, t))
      this.#say('paused', `${id} reached an application of ${route}, which is paused`, [paused, line]);
    const left = this.#left.get(line.by.name);
    if (left === undefined) return;
    const late = t - left.event.t - this.#disturbances.stalled(left.event.t, t);
    if (late > ON_ITS_WAY && !this.#disturbances.disturbed(left.event.t, t, ({ does }) => does === 'ends'))
      this.#say('left', `${id} reached an instance ${Math.round(late / MS)} ms after it left`, [left, line]);
  }

  #isDisturbed(from: number, until: number): boolean {
    return this.#disturbances.disturbed(from, until, ({ of }) => of?.startsWith('route:') === true);
  }

  #say(rule: string, text: string, lines: readonly Line[]): void {
    this.#report({ rule, text, lines });
  }
}
