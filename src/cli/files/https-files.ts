/** The certificates of https listeners, from their files, read again when these change. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { problem } from '../../config/kinds.ts';
import { readPemFile } from '../../config/pem-file.ts';
import { ConfigError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { Certificates, type HttpsCertificate } from '../../node/listeners/certificates.ts';
import type { TicketKeys } from '../../node/listeners/ticket-keys.ts';
import { followFiles } from './follow-files.ts';

export interface HttpsFiles {
  /** The first certificate belongs to the first key. */
  readonly tlsCert: readonly string[];
  readonly tlsKey: readonly string[];
  readonly tlsDir?: string;
}

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Undefined without files. @throws ConfigError when they can't be read, or don't belong together. */
export function readHttpsFiles(files: HttpsFiles, ticketKeys?: TicketKeys): Certificates | undefined {
  const pairs = pairsOf(files);
  const [first, ...others] = pairs.map(readPair);
  if (first === undefined) {
    if (files.tlsDir !== undefined) throw new ConfigError([problem('--tls-dir', files.tlsDir, 'NAME.crt and NAME.key in it')]);
    return undefined;
  }
  try {
    return new Certificates([first, ...others], ticketKeys);
  } catch (error) {
    const [flag, value] = files.tlsCert.length > 0 ? ['--tls-cert', files.tlsCert.join(',')] : ['--tls-dir', files.tlsDir];
    throw new ConfigError([problem(flag, value, `certificates, each with its own key (${(error as Error).message})`)]);
  }
}

/**
 * Reads the files again when they have changed. Files that can't be used (a certificate that was replaced a moment before its key) change
 * nothing until they change again.
 */
export function followHttpsFiles(files: HttpsFiles, certificates: Certificates, log: Log): void {
  const paths = (): string[] => pairsOf(files).flatMap(({ cert, key }) => [cert, key]);
  followFiles(paths, () => {
    try {
      const [first, ...others] = pairsOf(files).map(readPair);
      if (first === undefined) throw new Error('there are none any more');
      certificates.replace([first, ...others]);
      log.info({ certificates: others.length + 1 }, 'certificates reloaded');
    } catch (error) {
      log.warn({ err: error }, 'the new certificates can not be used: the previous ones stay');
    }
  });
}

/** The files of certificates that are there now. */
export function certificatePaths(files: HttpsFiles): string[] {
  return pairsOf(files).map(({ cert }) => cert);
}

function pairsOf({ tlsCert, tlsKey, tlsDir }: HttpsFiles): Pair[] {
  const named = tlsCert.map((cert, i) => ({ cert, key: tlsKey[i] ?? '' }));
  return tlsDir === undefined ? named : [...named, ...pairsIn(tlsDir)];
}

/** `NAME.crt` or `NAME.pem`, with `NAME.key`. */
function pairsIn(directory: string): Pair[] {
  try {
    const names = readdirSync(directory).sort();
    return names.flatMap((name) => {
      const base = /^(.+)\.(?:crt|pem)$/.exec(name)?.[1];
      return base !== undefined && names.includes(`${base}.key`)
        ? [{ cert: join(directory, name), key: join(directory, `${base}.key`) }]
        : [];
    });
  } catch (error) {
    throw new ConfigError([problem('--tls-dir', directory, `a directory that can be read (${(error as NodeJS.ErrnoException).code})`)]);
  }
}

function readPair({ cert, key }: Pair): HttpsCertificate {
  return { cert: readPemFile('--tls-cert', cert) as Buffer, key: readPemFile('--tls-key', key) as Buffer };
}
