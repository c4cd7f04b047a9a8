/** The routes that the annotations of Deployments declare: pure. */
import { problem } from '../../config/kinds.ts';
import { parseRouteSettings, type RouteRecord } from '../../config/route-settings.ts';
import { ConfigError } from '../../errors.ts';
import { PREFIX, readLabels } from '../labels.ts';
import type { Problem } from '../source.ts';
import { type Deployment, SETTINGS_CHARS_MAX } from './objects.ts';

export interface Declarations {
  /** Name → settings, with `source`. */
  readonly routes: ReadonlyMap<string, RouteRecord>;
  /** Route → the Deployment of its instances. */
  readonly places: ReadonlyMap<string, Deployment>;
  readonly problems: readonly Problem[];
}

/** A Deployment is all instances of one route. Of several that declare one route the oldest counts: a copy takes nothing away from it. */
export function declarationsOf(deployments: Iterable<Deployment>, source: string): Declarations {
  const routes = new Map<string, RouteRecord>();
  const places = new Map<string, Deployment>();
  const problems: Problem[] = [];
  for (const deployment of [...deployments].sort((a, b) => a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1))) {
    const said = `Deployment ${deployment.name}`;
    try {
      const { route, record } = declaredBy(deployment);
      const first = places.get(route);
      if (first !== undefined) {
        problems.push({ route, text: `${said}: Deployment ${first.name}, which is older, has declared the route already` });
        continue;
      }
      const settings = { ...record, source };
      parseRouteSettings(settings);
      routes.set(route, settings);
      places.set(route, deployment);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push({ route: null, text: `${said}: ${error.problems.map(asAnnotation).join('; ')}` });
    }
  }
  return { routes, places, problems };
}

/** @throws ConfigError, whose texts call annotations labels */
function declaredBy({ settings }: Deployment): { readonly route: string; readonly record: RouteRecord } {
  if (settings === null) throw new ConfigError([problem(`${PREFIX}*`, '...', `at most ${SETTINGS_CHARS_MAX} characters in all`)]);
  const labels = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`${PREFIX}${name}`, value]));
  const { route, record, instance } = readLabels(labels);
  // The route has them as well.
  const { concurrency: _, startTimeoutMs: __, ...ofLinker } = instance;
  const problems = Object.keys(ofLinker).map(
    (name) => `${PREFIX}${name.replace(/Ms$/, '')}: expected none: the linker in the Pod has it as a flag`,
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return { route, record };
}

function asAnnotation(text: string): string {
  return text.startsWith(PREFIX) ? `pullproxy/${text.slice(PREFIX.length)}` : text;
}
