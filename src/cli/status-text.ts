import type { AdminState } from '../admin/admin-source.ts';
import { table } from './table.ts';

/** The cluster as a person reads it, at most `width` columns wide. */
export function statusText({ nodes, routes }: Pick<AdminState, 'nodes' | 'routes'>, width: number): string {
  const instances = routes.flatMap((route) => route.instances.map((instance) => ({ route: route.name, ...instance })));
  return [
    ...section(
      'Nodes',
      table(
        [
          { title: 'NODE', read: ({ id }) => id },
          { title: 'ADDRESS', read: ({ address }) => address },
          { title: 'HELD', read: ({ held }) => held },
          { title: 'ACTIVE', read: ({ active }) => active },
          { title: 'LINKS', read: ({ links }) => links },
          { title: 'HEARTBEAT', read: ({ heartbeatAgeMs }) => `${(heartbeatAgeMs / 1000).toFixed(1)}s ago` },
          { title: 'VERSION', read: ({ version }) => version },
        ],
        nodes,
        width,
      ),
    ),
    ...section(
      'Routes',
      table(
        [
          { title: 'ROUTE', read: ({ name }) => name },
          { title: 'HELD', read: ({ held }) => held },
          { title: 'ACTIVE', read: ({ active }) => active },
          { title: 'SLOTS', read: ({ slots }) => slots },
          { title: 'FREE', read: ({ free }) => free },
          { title: 'INSTANCES', read: ({ instances: own }) => own.length },
          { title: 'STARTING', read: ({ starting }) => starting },
        ],
        routes,
        width,
      ),
    ),
    ...section(
      'Instances',
      table(
        [
          { title: 'INSTANCE', read: ({ id }) => id },
          { title: 'ROUTE', read: ({ route }) => route },
          { title: 'STATE', read: ({ state }) => state },
          { title: 'ACTIVE', read: ({ active }) => active },
          { title: 'OF', read: ({ concurrency }) => concurrency },
          { title: 'NODE', read: ({ node }) => node },
        ],
        instances,
        width,
      ),
    ),
  ].join('\n');
}

/** A title, and a table or the word that there is nothing in it. */
function section(title: string, lines: readonly string[]): string[] {
  return [title, ...(lines.length > 1 ? lines : ['none']).map((line) => `  ${line}`), ''];
}
