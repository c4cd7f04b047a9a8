import { describe, expect, test } from '@jest/globals';
import { matchesGlob, sleepRules } from '../../../src/config/sleep-rules.ts';
import { type SleepingHead, SleepRules } from '../../../src/node/matching/sleep-rules.ts';

const head = (target: string, agent: string | null = null, method = 'GET'): SleepingHead => ({
  method,
  target,
  field: (name) => (name === 'user-agent' ? agent : null),
});
const matches = (rules: string[], path: string, agent: string | null = null, method = 'GET'): boolean =>
  new SleepRules(rules).match(head(path, agent, method));

describe('a rule', () => {
  test.each([
    [['GET /healthz'], ['["GET /healthz"]', 'GET /healthz', ['GET /healthz']]],
    [
      ['get /a', 'ua:*Bot*'],
      ['get /a, ua:*Bot*', '["get /a","ua:*Bot*"]'],
    ],
    [['* /robots.txt'], [['* /robots.txt']]],
    [['HEAD *'], [['HEAD *']]],
  ])('%j is read from each form of it', (rules, forms) => {
    for (const form of forms) expect(sleepRules.read(form)).toEqual(rules);
  });

  test.each([
    [[]],
    ['[]'],
    ['["GET /"'],
    ['/healthz'],
    ['GET healthz'],
    ['GET /a b'],
    ['ua:'],
    ['GET /a\r\nX: y'],
    ['ua:a\0b'],
    [[1]],
    [{ 0: 'GET /' }],
    [7],
    [[`GET /${'a'.repeat(260)}`]],
    [Array.from({ length: 33 }, () => 'GET /')],
  ])('%j is none', (value) => {
    expect(sleepRules.read(value)).toBeNull();
  });

  test.each<[string, string, string | null, string, boolean]>([
    ['GET /healthz', '/healthz', null, 'GET', true],
    ['GET /healthz', '/healthz?full=1', null, 'GET', true],
    ['GET /healthz', '/healthz/more', null, 'GET', false],
    ['GET /healthz', '/healthz', null, 'POST', false],
    ['get /healthz', '/healthz', null, 'GET', true],
    ['* /robots.txt', '/robots.txt', null, 'HEAD', true],
    ['GET /api/*/status', '/api/v1/eu/status', null, 'GET', true],
    ['GET /api/*/status', '/api/status', null, 'GET', false],
    ['GET *.ico', '/a/favicon.ico', null, 'GET', true],
    ['ua:*uptime*', '/', 'Mozilla (compatible; UptimeRobot/2.0)', 'GET', true],
    ['ua:curl/*', '/', 'curl/8.1', 'GET', true],
    ['ua:curl/*', '/', 'xcurl/8.1', 'GET', false],
    ['ua:*', '/', null, 'GET', false],
    ['GET *', '*', null, 'OPTIONS', false],
  ])('%s and %s of %s by %s: %j', (rule, path, agent, method, expected) => {
    expect(matches([rule], path, agent, method)).toBe(expected);
  });

  test('a part may stand at the end only once', () => {
    expect(matchesGlob('ab*ba'.split('*'), 'aba')).toBe(false);
    expect(matchesGlob('ab*ba'.split('*'), 'abba')).toBe(true);
    expect(matchesGlob('*'.split('*'), '')).toBe(true);
    expect(matchesGlob('a**b'.split('*'), 'ab')).toBe(true);
  });

  test('no text makes a pattern slow', () => {
    const rules = Array.from({ length: 32 }, () => `ua:${'*a'.repeat(120)}*b`);
    const compiled = new SleepRules(rules);
    const hostile = head('/', `${'a'.repeat(60_000)}c`);
    const begun = performance.now();
    for (let i = 0; i < 100; i++) expect(compiled.match(hostile)).toBe(false);
    // A regular expression for one of them would not end today.
    expect((performance.now() - begun) / 100).toBeLessThan(50);
  });

  test('no more of a path is looked at than a bound', () => {
    expect(matches(['GET /*'], `/${'a'.repeat(2_047)}`)).toBe(true);
    expect(matches(['GET /*'], `/${'a'.repeat(2_048)}`)).toBe(false);
  });
});
