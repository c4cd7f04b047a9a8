import { readPemFile } from '../../config/pem-file.ts';
import type { Log } from '../../log.ts';
import type { BackendTls } from '../../node/lenders/link-server.ts';
import { followFiles } from './follow-files.ts';

export interface BackendTlsFiles {
  readonly backendTlsCert?: string;
  readonly backendTlsKey?: string;
  readonly backendTlsCa?: string;
  readonly backendTlsName?: string;
}

/** The contents of the files of `--backend-tls-cert`, `-key` and `-ca`. */
export function backendTls(settings: BackendTlsFiles): BackendTls | undefined {
  const cert = readPemFile('--backend-tls-cert', settings.backendTlsCert);
  const key = readPemFile('--backend-tls-key', settings.backendTlsKey);
  const ca = readPemFile('--backend-tls-ca', settings.backendTlsCa);
  const name = settings.backendTlsName;
  return cert === undefined || key === undefined ? undefined : { cert, key, ca, ...(name === undefined ? {} : { name }) };
}

/** Calls `replace` each time that these files have changed and can be used. */
export function followBackendTls(settings: BackendTlsFiles, log: Log, replace: (tls: BackendTls) => void): void {
  const { backendTlsCert, backendTlsKey, backendTlsCa } = settings;
  const paths = [backendTlsCert, backendTlsKey, backendTlsCa].filter((path) => path !== undefined);
  if (paths.length === 0) return;
  followFiles(
    () => paths,
    () => {
      try {
        const tls = backendTls(settings);
        if (tls !== undefined) replace(tls);
        log.info('the certificate of the backend port was reloaded');
      } catch (error) {
        log.warn({ err: error }, 'the new certificate of the backend port can not be used: the previous one stays');
      }
    },
  );
}
