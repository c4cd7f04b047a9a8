import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { readSecretFile, secretsFor } from '../../../src/config/secret-file.ts';
import { ConfigError } from '../../../src/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-secrets-'));
const path = join(directory, 'secrets');
afterAll(() => rmSync(directory, { recursive: true }));

function read(text: string) {
  writeFileSync(path, text);
  return readSecretFile(path);
}

function problemsOf(text: string): readonly string[] {
  try {
    read(text);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('a file of secrets', () => {
  test.each([
    ['app.test', ['all', 'one', 'stars']],
    ['a.shop.test', ['all', 'group', 'stars']],
    ['*.shop.test', ['all', 'group', 'stars']],
    ['shop.test', ['all', 'stars']],
    ['eshop.test', ['all', 'stars']],
    ['*', ['all', 'stars']],
  ])('says what each is good for: %s', (route, secrets) => {
    const entries = read('# a comment\n\nall\none\tApp.Test other.test\r\ngroup *.shop.test\nstars *\n');
    expect(secretsFor(entries, route)).toEqual(secrets);
  });

  test('names what is wrong, and shows no secret', () => {
    expect(problemsOf('# nothing\n')).toEqual([expect.stringMatching(/^--secret-file .*expected a secret in it/)]);
    const [problem = ''] = problemsOf('hidden app_test/x\n');
    expect(problem).toMatch(/line 1 "?app_test\/x/);
    expect(problem).not.toContain('hidden');
    const many = problemsOf(
      Array.from({ length: 8 }, (_, i) => `hidden${i}`)
        .join('\n')
        .concat('\nhidden8 app.test\n'),
    );
    expect(many).toEqual([expect.stringMatching(/9 secrets for app\.test: expected at most 8/)]);
    expect(() => readSecretFile(join(directory, 'nowhere'))).toThrow(ConfigError);
  });
});
