import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
  remove(): void;
}

/** A self-signed certificate for these names, made by openssl. */
export function makeCertificate(...names: readonly string[]): Certificate {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-certificate-'));
  const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const subject = [
    '-subj',
    `/CN=${names[0] ?? ''}`,
    '-addext',
    `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')},IP:127.0.0.1`,
  ];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      keyFile,
      '-out',
      certFile,
      ...subject,
    ],
    {
      stdio: 'pipe',
    },
  );
  return {
    certFile,
    keyFile,
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
    remove: () => rmSync(directory, { recursive: true }),
  };
}

export interface Authority {
  readonly cert: Buffer;
  /** A certificate of this authority; `usage` as openssl writes extended key usages, `names` as it writes alternative names. */
  issue(name: string, extensions?: { readonly usage?: string; readonly names?: string }): { readonly cert: Buffer; readonly key: Buffer };
  remove(): void;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** An authority that certifies nodes and linkers alike. */
export function makeAuthority(): Authority {
  const directory = mkdtempSync(join(tmpdir(), 'pullproxy-authority-'));
  const openssl = (...args: readonly string[]): void => void execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  openssl('req', '-x509', ...NEW_KEY, '-days', '2', '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.crt');
  let issued = 0;
  return {
    cert: readFileSync(join(directory, 'ca.crt')),
    issue(name, { usage, names } = {}) {
      const file = `${issued++}`;
      const lines = [
        ...(usage === undefined ? [] : [`extendedKeyUsage=${usage}`]),
        ...(names === undefined ? [] : [`subjectAltName=${names}`]),
      ];
      writeFileSync(join(directory, `${file}.ext`), `basicConstraints=CA:FALSE\n${lines.join('\n')}\n`);
      openssl('req', '-new', ...NEW_KEY, '-subj', `/CN=${name}`, '-keyout', `${file}.key`, '-out', `${file}.csr`);
      const by = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
      openssl('x509', '-req', '-in', `${file}.csr`, ...by, '-extfile', `${file}.ext`, '-out', `${file}.crt`);
      return { cert: readFileSync(join(directory, `${file}.crt`)), key: readFileSync(join(directory, `${file}.key`)) };
    },
    remove: () => rmSync(directory, { recursive: true }),
  };
}
