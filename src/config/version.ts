import { readFileSync } from 'node:fs';

/** The package's version. The file lies at the same distance from the source and from the build. */
export function readVersion(): string {
  const content: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return (content as { version: string }).version;
}
