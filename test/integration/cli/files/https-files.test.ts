import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { followHttpsFiles, readHttpsFiles } from '../../../../src/cli/files/https-files.ts';
import { createLog } from '../../../../src/log.ts';
import { type Certificate, makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';

const NONE = { tlsCert: [], tlsKey: [] };
const log = createLog('test', 'silent');
let directory: string;
let app: Certificate;
let other: Certificate;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pullproxy-tls-'));
  app = makeCertificate('app.test');
  other = makeCertificate('other.test');
});

afterEach(() => {
  rmSync(directory, { recursive: true });
  app.remove();
  other.remove();
});

function put({ certFile, keyFile }: Certificate, name: string, ending = 'crt'): void {
  copyFileSync(certFile, join(directory, `${name}.${ending}`));
  copyFileSync(keyFile, join(directory, `${name}.key`));
}

describe('files of certificates', () => {
  test('may be named one by one, and lie in a directory', () => {
    put(other, 'b', 'pem');
    writeFileSync(join(directory, 'alone.crt'), 'has no key');
    const certificates = readHttpsFiles({ tlsCert: [app.certFile], tlsKey: [app.keyFile], tlsDir: directory });
    expect(certificates?.first.cert).toEqual(app.cert);
    expect(certificates?.contextFor('other.test')).toBeDefined();
    expect(readHttpsFiles(NONE)).toBeUndefined();
  });

  test('that can not be used end the command, with what is wrong', () => {
    expect(() => readHttpsFiles({ ...NONE, tlsDir: directory })).toThrow(/--tls-dir .*expected NAME\.crt and NAME\.key in it/);
    expect(() => readHttpsFiles({ ...NONE, tlsDir: join(directory, 'none') })).toThrow(/a directory that can be read \(ENOENT\)/);
    expect(() => readHttpsFiles({ tlsCert: [app.certFile], tlsKey: [other.keyFile] })).toThrow(/--tls-cert .*each with its own key/);
  });

  test('are read again when they change; half of a change leaves what was there', async () => {
    put(app, 'a');
    const files = { ...NONE, tlsDir: directory };
    const certificates = readHttpsFiles(files);
    if (certificates === undefined) throw new Error('none');
    let warned = 0;
    followHttpsFiles(files, certificates, Object.assign(Object.create(log) as typeof log, { warn: () => warned++ }));
    copyFileSync(other.certFile, join(directory, 'a.crt'));
    await eventually('a warning', () => warned > 0);
    expect(certificates.contextFor('app.test')).toBeDefined();
    copyFileSync(other.keyFile, join(directory, 'a.key'));
    await eventually('the new one', () => certificates.contextFor('other.test') !== undefined);
    expect(certificates.contextFor('app.test')).toBeUndefined();
    rmSync(join(directory, 'a.key'));
    await eventually('another warning', () => warned > 1);
    expect(certificates.contextFor('other.test')).toBeDefined();
  });
});
