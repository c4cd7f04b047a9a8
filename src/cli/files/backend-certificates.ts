import { createSecureContext } from 'node:tls';
import type { ReloadOutcome } from '../../admin/reload-report.ts';
import { problem } from '../../config/kinds.ts';
import { readPemFile } from '../../config/pem-file.ts';
import { ConfigError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { BackendTls } from '../../node/lenders/link-server.ts';
import { digestOf, outcomesOf, type Prepared, type Reloadable, rereadChanged } from './reloadable.ts';

export interface BackendTlsFiles {
  readonly backendTlsCert?: string | undefined;
  readonly backendTlsKey?: string | undefined;
  readonly backendTlsCa?: string | undefined;
  readonly backendTlsName?: string | undefined;
}

/** The contents of the files of `--backend-tls-cert`, `-key` and `-ca`. @throws ConfigError when they can't be used */
export function backendTls(settings: BackendTlsFiles): BackendTls | undefined {
  const cert = readPemFile('--backend-tls-cert', settings.backendTlsCert);
  const key = readPemFile('--backend-tls-key', settings.backendTlsKey);
  const ca = readPemFile('--backend-tls-ca', settings.backendTlsCa);
  const name = settings.backendTlsName;
  if (cert === undefined || key === undefined) return undefined;
  try {
    createSecureContext({ cert, key, ca });
  } catch (error) {
    const expected = `a certificate with its own key, and authorities (${(error as Error).message})`;
    throw new ConfigError([problem('--backend-tls-cert', settings.backendTlsCert, expected)]);
  }
  return { cert, key, ...(ca === undefined ? {} : { ca }), ...(name === undefined ? {} : { name }) };
}

/** Calls `replace` each time that these files have changed and can be used. `given`: their contents now. */
export function followBackendTls(
  settings: BackendTlsFiles,
  given: BackendTls | undefined,
  log: Log,
  replace: (tls: BackendTls) => void,
): Reloadable<BackendTlsFiles> {
  let current = settings;
  let digests = digestsOf(settings, given);
  const prepare = (next: BackendTlsFiles): Prepared => {
    const tls = backendTls(next);
    const found = digestsOf(next, tls);
    // The port speaks TLS or not, and asks for certificates or not, from its beginning to its end.
    const isOther = (tls === undefined) !== (given === undefined) || (tls?.ca === undefined) !== (given?.ca === undefined);
    if (tls === undefined || isOther) return { outcomes: needingRestart(outcomesOf(digests, found)), apply() {} };
    const outcomes = outcomesOf(digests, found);
    return {
      outcomes,
      apply() {
        current = next;
        digests = found;
        replace(tls);
        log.info('the certificate of the backend port was reloaded');
      },
    };
  };
  const paths = (): string[] => [current.backendTlsCert, current.backendTlsKey, current.backendTlsCa].filter((path) => path !== undefined);
  if (given !== undefined)
    rereadChanged(paths, () => prepare(current), log, 'the new certificate of the backend port can not be used: the previous one stays');
  return { prepare };
}

function needingRestart(outcomes: ReadonlyMap<string, ReloadOutcome>): Map<string, ReloadOutcome> {
  return new Map([...outcomes].map(([flag, outcome]) => [flag, outcome === 'changed' ? 'needs_restart' : outcome]));
}

function digestsOf(
  { backendTlsCert = '', backendTlsKey = '', backendTlsCa = '', backendTlsName = '' }: BackendTlsFiles,
  tls: BackendTls | undefined,
): Record<string, string> {
  return {
    'backend-tls-cert': digestOf([backendTlsCert, tls?.cert ?? '']),
    'backend-tls-key': digestOf([backendTlsKey, tls?.key ?? '']),
    'backend-tls-ca': digestOf([backendTlsCa, tls?.ca ?? '']),
    'backend-tls-name': backendTlsName,
  };
}
