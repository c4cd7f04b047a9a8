import { describe, expect, test } from '@jest/globals';
import { InstanceNames, instancePrefix, peopleLine } from '../../../../src/cli/dev/people-log.ts';
import { plain } from '../../../../src/cli/terminal/paint.ts';

const entry = (facts: object): string =>
  JSON.stringify({ level: 30, time: '2026-11-29T10:20:30.000Z', name: 'dev', pid: 1, hostname: 'h', ...facts });

describe('the log of dev for people', () => {
  test('is one short line: the time, the instance, what happened, and why', () => {
    const names = new InstanceNames();
    expect(names.add(['i1', 's1'])).toBe(1);
    const line = peopleLine(entry({ level: 40, startId: 's1', code: 3, reason: 'no\nluck\u001b', msg: 'it ended' }), names, plain);
    expect(line).toMatch(/^\d\d:\d\d:30 app 1 │ warning: it ended: no\\u000aluck\\u001b \(code 3\)\n$/);
    names.remove(['i1', 's1']);
    expect(peopleLine(entry({ startId: 's1', msg: 'it ended' }), names, plain)).toMatch(/^\d\d:\d\d:30 it ended\n$/);
  });

  test('leaves out what the welcome says, and cuts what is too long', () => {
    const names = new InstanceNames();
    expect(peopleLine(entry({ msg: 'ready', listen: [] }), names, plain)).toBe('');
    expect(peopleLine(entry({ msg: 'x'.repeat(5_000) }), names, plain).length).toBeLessThan(1_020);
  });

  test('has a colour for each instance', () => {
    const styles = [1, 2, 6].map((number) => instancePrefix(number, (style, text) => `${style}:${text}`));
    expect(styles).toEqual(['cyan:app 1 │ ', 'green:app 2 │ ', 'cyan:app 6 │ ']);
  });
});
