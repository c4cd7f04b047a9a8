/** Kubernetes manifests against the API's schemas, as kubernetes-models brings them: compiled, one a kind. */
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
  // biome-ignore lint/suspicious/noExplicitAny: a manifest's own form is what is tested.
  readonly [key: string]: any;
}

interface Validate {
  (data: unknown): boolean;
  errors: readonly { readonly instancePath: string; readonly message?: string; readonly keyword: string; readonly params: object }[] | null;
}

export function readManifests(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).map((document) => {
    if (document.errors.length > 0) throw new Error(`${file}: ${document.errors.join('; ')}`);
    return document.toJS() as Manifest;
  });
}

/** Its faults, empty when there are none: wrong types, missing fields, and fields that the schema does not know. */
export async function faultsOf(manifest: Manifest): Promise<string[]> {
  const { validate } = (await import(`kubernetes-models/_schemas/${schemaName(manifest)}`)) as { validate: Validate };
  // The schemas let any other field pass; but what they know they look at.
  const seen = new Set<string>();
  const valid = validate(watched(manifest, '', seen));
  const wrong = valid
    ? []
    : (validate.errors ?? []).map((error) => `${error.instancePath}: ${error.keyword} ${JSON.stringify(error.params)}`);
  return [
    ...wrong,
    ...paths(manifest, '')
      .filter((path) => !seen.has(path))
      .map((path) => `${path}: unknown field`),
  ];
}

/** `apps/v1`, `Deployment` → `IoK8sApiAppsV1Deployment`. */
function schemaName({ apiVersion, kind }: Manifest): string {
  const [version = '', group = 'core'] = apiVersion.split('/').reverse();
  const words = [group.split('.')[0] ?? '', version, kind];
  return `IoK8sApi${words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('')}`;
}

function watched<T>(value: T, path: string, seen: Set<string>): T {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get(target, key) {
      const child: unknown = Reflect.get(target, key);
      if (typeof key === 'symbol' || !Object.hasOwn(target, key)) return child;
      seen.add(`${path}/${key}`);
      return watched(child, `${path}/${key}`, seen);
    },
  });
}

function paths(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [`${path}/${key}`, ...paths(child, `${path}/${key}`)]);
}
