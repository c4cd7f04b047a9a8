/** The certificates of https listeners, from their files, read again when these change. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { problem } from '../../config/kinds.ts';
import { readPemFile } from '../../config/pem-file.ts';
import { ConfigError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { Certificates, type HttpsCertificate } from '../../node/listeners/certificates.ts';
import type { TicketKeys } from '../../node/listeners/ticket-keys.ts';
import { digestOf, outcomesOf, type Prepared, type Reloadable, rereadChanged } from './reloadable.ts';

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
  return usable(files, () => new Certificates([first, ...others], ticketKeys));
}

function prepared(certificates: Certificates, files: HttpsFiles, read: readonly [HttpsCertificate, ...HttpsCertificate[]]): () => void {
  return usable(files, () => certificates.prepare(read));
}

function usable<T>(files: HttpsFiles, use: () => T): T {
  try {
    return use();
  } catch (error) {
    const [flag, value] = files.tlsCert.length > 0 ? ['--tls-cert', files.tlsCert.join(',')] : ['--tls-dir', files.tlsDir];
    throw new ConfigError([problem(flag, value, `certificates, each with its own key (${(error as Error).message})`)]);
  }
}

/**
 * Reads the files again when they have changed. Files that can't be used (a certificate that was replaced a moment before its key) change
 * nothing until they change again.
 */
export function followHttpsFiles(files: HttpsFiles, certificates: Certificates, log: Log): Reloadable<HttpsFiles> {
  let current = files;
  let digests = digestsOf(files, certificates.given);
  const prepare = (next: HttpsFiles): Prepared => {
    const [first, ...others] = pairsOf(next).map(readPair);
    if (first === undefined) throw new ConfigError(['--tls-cert, --tls-dir: there are no certificates any more']);
    const replace = prepared(certificates, next, [first, ...others]);
    const found = digestsOf(next, [first, ...others]);
    const outcomes = outcomesOf(digests, found);
    return {
      outcomes,
      apply() {
        current = next;
        digests = found;
        replace();
        log.info({ certificates: others.length + 1 }, 'certificates reloaded');
      },
    };
  };
  const paths = (): string[] => pairsOf(current).flatMap(({ cert, key }) => [cert, key]);
  rereadChanged(paths, () => prepare(current), log, 'the new certificates can not be used: the previous ones stay');
  return { prepare };
}

/** The contents that each setting stands for. */
function digestsOf({ tlsCert, tlsKey, tlsDir }: HttpsFiles, given: readonly HttpsCertificate[]): Record<string, string> {
  const named = given.slice(0, tlsCert.length);
  const found = given.slice(tlsCert.length);
  return {
    'tls-cert': digestOf([...tlsCert, ...named.map(({ cert }) => cert)]),
    'tls-key': digestOf([...tlsKey, ...named.map(({ key }) => key)]),
    'tls-dir': digestOf([tlsDir ?? '', ...found.flatMap(({ cert, key }) => [cert, key])]),
  };
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
