import { readPemFile } from '../config/pem-file.ts';
import type { BackendTls } from '../node/link-server.ts';

/** The contents of the files that `--backend-tls-cert`, `-key` and `-ca` name. */
export function backendTls(settings: {
  readonly backendTlsCert?: string;
  readonly backendTlsKey?: string;
  readonly backendTlsCa?: string;
}): BackendTls | undefined {
  const cert = readPemFile('--backend-tls-cert', settings.backendTlsCert);
  const key = readPemFile('--backend-tls-key', settings.backendTlsKey);
  const ca = readPemFile('--backend-tls-ca', settings.backendTlsCa);
  return cert === undefined || key === undefined ? undefined : { cert, key, ca };
}
