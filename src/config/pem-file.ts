import { readFileSync } from 'node:fs';
import { ConfigError } from '../errors.ts';
import { problem } from './kinds.ts';

/** The content of a file that a flag names; undefined without a flag. @throws ConfigError when the file can't be read or is not PEM. */
export function readPemFile(flag: string, path: string | undefined): Buffer | undefined {
  if (path === undefined) return undefined;
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    throw new ConfigError([problem(flag, path, `a file that can be read (${(error as NodeJS.ErrnoException).code})`)]);
  }
  if (!content.includes('-----BEGIN '))
    throw new ConfigError([problem(flag, path, 'a PEM file, which has lines such as -----BEGIN CERTIFICATE-----')]);
  return content;
}
