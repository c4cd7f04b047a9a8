import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import pino from 'pino';
import { watchCertificates } from '../../../../src/cli/files/certificate-watch.ts';
import { makeCertificate } from '../../../support/certificate.ts';

test.each([
  ['none of these', -40, []],
  ['soon', -13, ['warn a certificate expires soon']],
  ['expired', 1, ['error a certificate has expired']],
])('a certificate is said to be %s (%d days after its end)', (_, days, expected) => {
  const made = makeCertificate('app.test');
  const said: string[] = [];
  const log = pino(
    { level: 'info' },
    {
      write: (line: string) => {
        const { level, msg } = JSON.parse(line) as { level: number; msg: string };
        said.push(`${level === 50 ? 'error' : 'warn'} ${msg}`);
      },
    },
  );
  const files = { tlsCert: [made.certFile], tlsKey: [made.keyFile] };
  const [end = 0] = watchCertificates(() => files, pino({ level: 'silent' })).expiries.values();
  watchCertificates(
    () => files,
    log,
    () => end + days * 24 * 3_600_000,
  );
  expect(said).toEqual(expected);
  made.remove();
});

test('a file that is no certificate is left to those who use it', () => {
  const made = makeCertificate('app.test');
  writeFileSync(made.certFile, 'nothing');
  expect(
    watchCertificates(() => ({ tlsCert: [made.certFile, join(made.certFile, 'x')], tlsKey: [] }), pino({ level: 'silent' })).expiries.size,
  ).toBe(0);
  made.remove();
});
