/** Says in time that a certificate expires. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { guard } from '../../boundary.ts';
import type { Log } from '../../log.ts';
import type { BackendTlsFiles } from './backend-certificates.ts';
import { certificatePaths, type HttpsFiles } from './https-files.ts';

/** It is said again while it lasts. */
const LOOK_EVERY_MS = 60_000;
const DAY_MS = 24 * 3_600_000;
const SOON_DAYS = 14;
const SUBJECT_CHARS_MAX = 80;

export interface CertificateWatch {
  /** File → when its certificate expires, ms since the epoch. */
  readonly expiries: ReadonlyMap<string, number>;
  /** Looks now. */
  look(): void;
}

/** Looks at once, and then each minute. Keeps no process alive. `now`: ms since the epoch; certificates have nothing else. */
export function watchCertificates(files: () => HttpsFiles & BackendTlsFiles, log: Log, now: () => number = Date.now): CertificateWatch {
  const expiries = new Map<string, number>();
  const look = guard('file', () => {
    expiries.clear();
    const current = files();
    const backend = current.backendTlsCert === undefined ? [] : [current.backendTlsCert];
    for (const [of, paths] of [
      ['a listener', certificatePaths(current)],
      ['the backend port', backend],
    ] as const) {
      for (const path of paths) lookAt(of, path, expiries, log, now());
    }
  });
  look();
  setInterval(look, LOOK_EVERY_MS).unref();
  return { expiries, look };
}

function lookAt(of: string, path: string, expiries: Map<string, number>, log: Log, now: number): void {
  const certificate = readCertificate(path);
  if (certificate === null) return;
  const expiresAt = certificate.validToDate.getTime();
  expiries.set(path, expiresAt);
  const days = Math.floor((expiresAt - now) / DAY_MS);
  const subject = (certificate.subject ?? '').replaceAll('\n', ', ').slice(0, SUBJECT_CHARS_MAX);
  if (expiresAt <= now) log.error({ of, subject, file: path }, 'a certificate has expired');
  else if (days < SOON_DAYS) log.warn({ of, subject, days, file: path }, 'a certificate expires soon');
}

/** The first one of the file; null: who uses it says what is wrong with it. */
function readCertificate(path: string): X509Certificate | null {
  try {
    return new X509Certificate(readFileSync(path));
  } catch {
    return null;
  }
}
