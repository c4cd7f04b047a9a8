import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { attempt, caught, type FailureDomain, guard, internalErrors, PLACES, unawaited } from '../../src/boundary.ts';
import { eventually } from '../support/eventually.ts';
import { expectInternalErrors, loggedInternalErrors, newInternalErrors } from '../support/internal-errors.ts';

class Domain implements FailureDomain {
  readonly where = 'visit';
  fails = 0;
  fail = (): void => void this.fails++;
}

describe('a boundary', () => {
  test('passes on what it is given while nothing goes wrong', () => {
    const given: unknown[] = [];
    const domain = new Domain();
    guard(domain, (...args: unknown[]) => given.push(...args.slice(0, 3)))('a', 2, null);
    expect([given, domain.fails]).toEqual([['a', 2, null], 0]);
  });

  test('ends its domain once, counts and logs the error with its stack', () => {
    expectInternalErrors({ visit: 1 });
    const domain = new Domain();
    const fault = guard(domain, () => {
      throw new TypeError('a fault');
    });
    expect(fault).not.toThrow();
    expect(domain.fails).toBe(1);
    expect(internalErrors().visit?.message).toBe('TypeError: a fault');
    expect(loggedInternalErrors().at(-1)).toMatchObject({
      where: 'visit',
      err: { name: 'TypeError', stack: expect.stringContaining('boundary.test.ts') },
    });
  });

  test('holds when the end fails, too', () => {
    expectInternalErrors({ visit: 2 });
    const domain = new Domain();
    domain.fail = () => {
      throw new Error('and again');
    };
    expect(() => caught(domain, new Error('first'))).not.toThrow();
  });

  test.each([
    ['nothing', undefined],
    ['no error', 'a text'],
    [
      'an error that can not be read',
      Object.defineProperty(new Error('x'), 'stack', {
        get: () => {
          throw new Error('no');
        },
      }),
    ],
    ['what has no text', Object.create(null)],
    ['a text of a megabyte', new Error('x'.repeat(1_048_576))],
  ])('takes %s', (_what, thrown) => {
    expectInternalErrors({ timer: 1 });
    attempt('timer', () => {
      throw thrown;
    });
    expect(JSON.stringify(loggedInternalErrors().at(-1)).length).toBeLessThan(20_000);
  });

  test('catches the rejection of what nobody waits for', async () => {
    expectInternalErrors({ visit: 1 });
    const domain = new Domain();
    unawaited(domain, Promise.reject(new Error('late')));
    await eventually('it has ended', () => domain.fails === 1);
  });

  test('logs ten of a place, and counts all', () => {
    expectInternalErrors({ job: 1_000 });
    const before = loggedInternalErrors().length;
    for (let i = 0; i < 1_000; i++) caught('job', new Error('again'));
    expect(loggedInternalErrors().length - before).toBe(10);
    expect(newInternalErrors()).toEqual({ job: 1_000 });
  });
});

describe('the list of boundaries', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && path !== 'boundary.ts')
    .map((path) => readFileSync(`src/${path}`, 'utf8'))
    .join('\n');

  test.each(Object.keys(PLACES))('%s: there is one', (place) => {
    const named = new RegExp(
      `(guard|attempt|unawaited|caught|internalError)\\(\\s*'${place}'|where: '${place}'|where\\(\\): '${place}'|where = '${place}'`,
    );
    expect(sources).toMatch(named);
  });

  test('is the one in deploy/README.md', () => {
    const section = readFileSync('deploy/README.md', 'utf8').split('\n## Internal errors')[1]?.split('\n## ')[0] ?? '';
    const rows = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].slice(1).map(([, place, ends]) => [place, ends]);
    expect(Object.fromEntries(rows)).toEqual(PLACES);
  });
});
