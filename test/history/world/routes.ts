/** The routes of a run. A route whose instances have keys is in a history by the names of route and key together: each key is a route of its own. */

export interface RouteSpec {
  readonly name: string;
  /** Of each key, where there are keys. */
  readonly maxInstances: number;
  /** By tenant and urgency, or by age alone. */
  readonly fair: boolean;
  /** What clients say in X-Key: each has instances of its own. */
  readonly keys?: readonly string[];
}

/** As pullproxy names it, too. */
export function servedName(route: string, key: string | null | undefined): string {
  return key === null || key === undefined || key === '' ? route : `${route}~${key}`;
}

export function servedNames({ name, keys }: RouteSpec): string[] {
  return keys === undefined ? [name] : keys.map((key) => servedName(name, key));
}

export function settingsOf({ fair, keys }: RouteSpec, maxInstances: number): Record<string, string> {
  return {
    maxInstances: String(maxInstances),
    startTimeout: '10s',
    holdTimeout: '75s',
    ...(fair ? { fairBy: 'header:x-tenant', priority: 'header:x-urgency', trustClients: 'true' } : {}),
    ...(keys === undefined ? {} : { key: 'header:x-key' }),
  };
}
