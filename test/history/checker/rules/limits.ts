/** An application never has more requests at once than its limit at that moment. While it asks for another limit, the old one and the new one may hold. */
import { type Line, nameOf, type Report, type Rule } from '../line.ts';

interface App {
  readonly active: Map<string, Line>;
  /** The limit that holds, then those that were asked for and may hold already. */
  limits: Line[];
}

export class Limits implements Rule {
  begun = 0;
  most = 0;
  readonly #apps = new Map<string, App>();
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  take(line: Line): void {
    const { event, by } = line;
    if (by.role !== 'app') return;
    const key = `${nameOf(by)} ${by.pid}`;
    if (event.e === 'up') this.#apps.set(key, { active: new Map(), limits: [line] });
    const app = this.#apps.get(key);
    if (app === undefined) return;
    if (event.e === 'asks') app.limits.push(line);
    else if (event.e === 'agreed') this.#agreed(app, event.limit, line);
    else if (event.e === 'end') app.active.delete(event.id);
    else if (event.e === 'begin') this.#began(app, event.id, line);
  }

  /** What was asked for before it holds no more. */
  #agreed(app: App, limit: number, line: Line): void {
    const at = app.limits.findIndex(({ event }) => event.e === 'asks' && event.limit === limit);
    app.limits = [line, ...app.limits.slice(at + 1)];
  }

  #began(app: App, id: string, line: Line): void {
    this.begun++;
    app.active.set(id, line);
    this.most = Math.max(this.most, app.active.size);
    const limit = Math.max(...app.limits.map(({ event }) => ('limit' in event ? event.limit : 0)));
    if (app.active.size <= limit) return;
    const text = `${app.active.size} requests at once in an application that takes ${limit}`;
    this.#report({ rule: 'limit', text, lines: [...app.limits, ...app.active.values()] });
  }
}
