/**
 * A file of secrets, one on each line, each with the routes that it allows:
 *
 *     # the team of the shop
 *     8kYx...           shop.example.com *.shop.example.com
 *     # for all routes
 *     q2Zv...
 *
 * `*.shop.example.com` allows all routes below it, `*` allows all.
 */
import { readFileSync } from 'node:fs';
import { ConfigError } from '../errors.ts';
import { problem } from './kinds.ts';
import { routeOf } from './route-key.ts';
import { ROUTE_NAME_EXPECTED, validRouteName } from './route-name.ts';

export interface SecretEntry {
  readonly secret: string;
  /** Empty: all routes. */
  readonly routes: readonly string[];
}

/** Secrets of one route; a node tries as many, see handshake.ts. */
const SECRETS_MAX = 8;

/** @throws ConfigError with all problems; none of them shows a secret. */
export function readSecretFile(path: string): SecretEntry[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([problem('--secret-file', path, `a file that can be read (${(error as NodeJS.ErrnoException).code ?? error})`)]);
  }
  const problems: string[] = [];
  const entries = text.split('\n').flatMap((line, i) => {
    const [secret, ...routes] = line.split(/\s+/).filter((word) => word !== '');
    if (secret === undefined || secret.startsWith('#')) return [];
    const names = routes.map((written) => {
      const name = validRouteName(written);
      if (name === null) problems.push(problem(`${path}: line ${i + 1}`, written, ROUTE_NAME_EXPECTED));
      return name ?? written;
    });
    return [{ secret, routes: names }];
  });
  if (entries.length === 0) problems.push(problem('--secret-file', path, 'a secret in it'));
  for (const route of new Set(['', ...entries.flatMap(({ routes }) => routes)])) {
    const count = secretsFor(entries, route).length;
    if (count > SECRETS_MAX)
      problems.push(`${path}: ${count} secrets for ${route === '' ? 'all routes' : route}: expected at most ${SECRETS_MAX}`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return entries;
}

/** The secrets that allow a linker to serve `served`, a route or one of its keys, in the file's order. A key is its route's affair. */
export function secretsFor(entries: readonly SecretEntry[], served: string): string[] {
  const route = routeOf(served);
  return entries.filter(({ routes }) => routes.length === 0 || routes.some((name) => covers(name, route))).map(({ secret }) => secret);
}

function covers(name: string, route: string): boolean {
  return name === '*' || name === route || (name.startsWith('*.') && route.endsWith(name.slice(1)));
}

/** The secret of a linker, read when it dials. @throws ConfigError when the file is not valid. */
export function secretOf({
  secret,
  secretFile,
}: {
  readonly secret?: string | undefined;
  readonly secretFile?: string | undefined;
}): () => string {
  if (secretFile === undefined) return () => secret ?? '';
  const read = (): string => readSecretFile(secretFile)[0]?.secret ?? '';
  read();
  return read;
}
