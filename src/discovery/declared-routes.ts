/** The routes that units declare together: pure. */
import { parseRouteSettings, type RouteRecord } from '../config/route-settings.ts';
import { ConfigError } from '../errors.ts';
import type { Problem, Unit } from './source.ts';

export interface DeclaredRoutes {
  /** Name → settings, with `source`. */
  readonly routes: ReadonlyMap<string, RouteRecord>;
  readonly problems: readonly Problem[];
}

type Declaring = Pick<Unit, 'said' | 'createdAt' | 'declared'>;

/** Units of one route are its instances. Where they disagree about its settings the newest one counts, as in a deployment. */
export function declaredRoutes(units: readonly Declaring[], source: string): DeclaredRoutes {
  const routes = new Map<string, RouteRecord>();
  const problems: Problem[] = [];
  const ofRoutes = Map.groupBy(units, ({ declared }) => declared.route);
  for (const [route, ones] of ofRoutes) {
    const [newest, ...older] = ones.toSorted((a, b) => b.createdAt - a.createdAt || (a.said < b.said ? -1 : 1));
    if (newest === undefined) continue;
    const others = older.filter(({ declared }) => textOf(declared.record) !== textOf(newest.declared.record));
    if (others.length > 0) problems.push({ route, text: disagreement(newest, others) });
    const { record } = newest.declared;
    const count = ones.length;
    const said = parseRouteSettings(record);
    const most = record.maxInstances === undefined ? count : Math.min(count, said.maxInstances);
    const least = Math.min(said.minInstances, most);
    if (least < said.minInstances)
      problems.push({
        route,
        text: `minInstances is ${said.minInstances}, and it has ${count === 1 ? 'one container' : `${count} containers`}`,
      });
    const settings = { ...record, source, maxInstances: most, ...(record.minInstances === undefined ? {} : { minInstances: least }) };
    try {
      parseRouteSettings(settings);
      routes.set(route, settings);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push({ route, text: `${newest.said}: ${error.problems.join('; ')}` });
    }
  }
  return { routes, problems };
}

function disagreement(newest: Declaring, others: readonly Declaring[]): string {
  const [first] = others;
  if (first === undefined) return '';
  const keys = [...new Set([...Object.keys(newest.declared.record), ...Object.keys(first.declared.record)])];
  const differing = keys.filter((key) => newest.declared.record[key] !== first.declared.record[key]);
  const said = (one: Declaring): string => differing.map((key) => `${key}=${one.declared.record[key] ?? '(default)'}`).join(' ');
  const more = others.length === 1 ? '' : ` (and ${others.length - 1} more)`;
  return `its containers disagree: ${newest.said} says ${said(newest)}, ${first.said}${more} says ${said(first)}; the newest one, ${newest.said}, counts`;
}

function textOf(record: RouteRecord): string {
  return JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
