import { describe, expect, test } from '@jest/globals';
import { parseRouteSettings } from '../../../../src/config/route-settings.ts';
import { askOf, type ClientWord, type QueueRules, queueRules } from '../../../../src/node/matching/queue-rules.ts';

function rulesOf(record: Record<string, unknown>): QueueRules {
  return queueRules(parseRouteSettings({ trustClients: true, ...record })) as QueueRules;
}

function word(headers: Record<string, string> = {}, more: Partial<ClientWord> = {}): ClientWord {
  return { address: '192.0.2.7', isTrusted: false, method: 'GET', target: '/', header: (name) => headers[name] ?? '', ...more };
}

test('a route without rules looks at ages only', () => {
  expect(queueRules(parseRouteSettings({}))).toBeNull();
  expect(queueRules(parseRouteSettings({ trustClients: true }))).toBeNull();
});

describe('whose share', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '20010db8:10002'],
    ['unknown', expect.stringMatching(/^[\w-]{16}$/)],
  ])('a client at %s', (address, value) => {
    expect(askOf(rulesOf({ fairBy: 'client' }), word({}, { address })).value).toEqual(value);
  });

  test('clients in one network of 64 bits share', () => {
    const of = (address: string): string => askOf(rulesOf({ fairBy: 'client' }), word({}, { address })).value;
    expect(of('2001:db8::1')).toBe(of('2001:db8::ffff:1'));
    expect(of('2001:db8::1')).not.toBe(of('2001:db8:0:1::1'));
  });

  test('is a short hash, however long the value is', () => {
    const rules = rulesOf({ fairBy: 'header:X-Tenant' });
    const values = ['a', 'b', 'x'.repeat(8_192), `${'x'.repeat(8_191)}y`].map((tenant) => askOf(rules, word({ 'x-tenant': tenant })).value);
    expect(new Set(values).size).toBe(4);
    for (const value of values) expect(value).toMatch(/^[\w-]{16}$/);
  });

  test('all without a value share, and so do all whose word does not count', () => {
    const untrusted = rulesOf({ fairBy: 'header:X-Tenant', trustClients: false });
    expect(askOf(rulesOf({ fairBy: 'header:X-Tenant' }), word()).value).toBe('');
    expect(askOf(untrusted, word({ 'x-tenant': 'a' })).value).toBe('');
    expect(askOf(untrusted, word({ 'x-tenant': 'a' }, { isTrusted: true })).value).not.toBe('');
  });

  test.each([
    ['session=abc', 'abc'],
    ['a=b; session=abc; session=other', 'abc'],
    ['xsession=no; session = abc', 'abc'],
    ['sessions=abc', ''],
    ['session', ''],
  ])('a cookie in %s', (cookie, value) => {
    const rules = rulesOf({ fairBy: 'cookie:session' });
    const header = rulesOf({ fairBy: 'header:X' });
    expect(askOf(rules, word({ cookie })).value).toBe(askOf(header, word({ x: value })).value);
  });

  test('weights are those of values as they are written', () => {
    const rules = rulesOf({ fairBy: 'header:X-Plan', fairWeights: 'gold:4,free:1' });
    expect(['gold', 'free', 'other'].map((plan) => askOf(rules, word({ 'x-plan': plan })).unit)).toEqual([0.25, 1, 1]);
  });
});

describe('how urgent', () => {
  test.each([
    ['0', 0],
    ['7', 7],
    ['', 3],
    ['8', 3],
    ['-1', 3],
    ['0, 0', 3],
    ['03', 3],
    ['urgent', 3],
  ])('a header of the operator’s own says %j', (urgency, expected) => {
    expect(askOf(rulesOf({ priority: 'header:X-Urgency' }), word({ 'x-urgency': urgency })).urgency).toBe(expected);
  });

  test.each([
    ['u=0', 0],
    ['u=5, i', 5],
    ['i, u=1;x=2', 1],
    ['u=1, u=6', 6],
    ['i', 3],
    ['u=9', 3],
    ['u=', 3],
    ['"u=0"', 3],
  ])('RFC 9218: %j', (priority, expected) => {
    expect(askOf(rulesOf({ priority: 'rfc9218' }), word({ priority })).urgency).toBe(expected);
  });

  test('a client’s own word does not count unless the route says so', () => {
    const rules = rulesOf({ priority: 'rfc9218', trustClients: false });
    expect(askOf(rules, word({ priority: 'u=0' })).urgency).toBe(3);
    expect(askOf(rules, word({ priority: 'u=0' }, { isTrusted: true })).urgency).toBe(0);
  });
});

describe('how many slots', () => {
  const most = 1_000_000;
  test.each<[string, number]>([
    ['1', 1],
    ['5', 5],
    ['007', 7],
    ['1000000', most],
    ['1000001', most],
    ['999999999999999', most],
    ['9999999999999999', 1],
    ['', 1],
    ['0', 1],
    ['00', 1],
    ['-5', 1],
    ['+5', 1],
    ['5.5', 1],
    ['5, 5', 1],
    ['5;q=1', 1],
    ['0x5', 1],
    ['1e3', 1],
    ['five', 1],
    ['٥', 1],
  ])('a header of the operator’s own says %j', (said, expected) => {
    expect(askOf(rulesOf({ cost: 'header:X-Cost' }), word({ 'x-cost': said })).cost).toBe(expected);
  });

  const costBy = ['POST /export*=5', '* /export/small=2', '* /reports/*=3', 'GET *=4'];
  test.each<[string, string, number]>([
    ['POST', '/export', 5],
    ['POST', '/export/all?x=1', 5],
    // The first rule that matches counts.
    ['POST', '/export/small', 5],
    ['PUT', '/export/small', 2],
    ['DELETE', '/reports/a/b', 3],
    ['DELETE', '/reports', 1],
    ['GET', '/', 4],
    ['GET', '/reports/x', 3],
    ['PUT', '/', 1],
    ['PUT', '/?/reports/x', 1],
    // TCP has neither.
    ['', '', 1],
    ['GET', `/${'a'.repeat(4_000)}`, 1],
  ])('the rules of a route say for %s %s', (method, target, expected) => {
    expect(askOf(rulesOf({ costBy }), word({}, { method, target })).cost).toBe(expected);
  });

  test('a connection that is passed on unread takes one, also where a rule is for everything', () => {
    const rules = rulesOf({ costBy: ['* *=3'] });
    expect([askOf(rules, word({}, { method: '', target: '' })).cost, askOf(rules, word()).cost]).toEqual([1, 3]);
  });

  test.each<[string, boolean, boolean, number]>([
    ['9', true, false, 9],
    ['9', false, true, 9],
    ['9', false, false, 4],
    ['none', true, true, 4],
    ['', true, true, 4],
    ['1', true, false, 1],
  ])('the word %j of a client counts before the rules (trusted proxy: %j, trustClients: %j)', (said, isTrusted, trustClients, expected) => {
    const rules = rulesOf({ cost: 'header:X-Cost', costBy, trustClients });
    expect(askOf(rules, word({ 'x-cost': said }, { isTrusted })).cost).toBe(expected);
  });

  test('are what a line pays for, by its weight', () => {
    const rules = rulesOf({ fairBy: 'header:X-Plan', fairWeights: 'gold:4', cost: 'header:X-Cost' });
    const units = ['gold', 'free'].map((plan) => askOf(rules, word({ 'x-plan': plan, 'x-cost': '6' })).unit);
    expect(units).toEqual([1.5, 6]);
  });

  test('are one where the route does not say', () => {
    expect(askOf(rulesOf({ fairBy: 'client' }), word({ 'x-cost': '6' })).cost).toBe(1);
  });
});

describe('settings', () => {
  test.each([
    ['fairBy', 'tenant'],
    ['fairBy', 'header:'],
    ['fairBy', 'header:X Tenant'],
    ['fairBy', 'rfc9218'],
    ['priority', 'client'],
    ['priority', 'cookie:x'],
    ['fairWeights', 'gold:0'],
    ['fairWeights', 'gold:65'],
    ['fairWeights', 'gold:1,gold:2'],
    ['fairWeights', 'gold'],
    ['priorityWait', '30'],
    ['trustClients', 'yes'],
  ])('%s=%s is refused by name', (key, value) => {
    expect(() => parseRouteSettings({ fairBy: 'client', [key]: value })).toThrow(new RegExp(`${key} "${value}": expected`));
  });

  test('weights without fairBy mean nothing, and are refused', () => {
    expect(() => parseRouteSettings({ fairWeights: 'gold:4' })).toThrow('fairWeights');
  });
});
