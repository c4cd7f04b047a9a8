import { describe, expect, test } from '@jest/globals';
import { commandHelp, programHelp } from '../../../../src/cli/help/help.ts';
import { COMMANDS } from '../../../../src/config/commands/all.ts';

describe('help', () => {
  test('of the program names every command', () => {
    for (const { name, summary } of COMMANDS) expect(programHelp()).toContain(`${name.padEnd(10)}  ${summary}`);
  });

  test.each(COMMANDS.map((spec) => [spec.name, spec] as const))(
    'of %s explains every setting, with its default, and shows examples',
    (_, spec) => {
      const help = commandHelp(spec);
      for (const one of Object.values(spec.settings)) {
        expect(help).toContain(`  --${one.flag}`);
        if (one.defaultText !== '') expect(help).toContain(`[${one.defaultText}]`);
      }
      expect(help).toMatch(/^Usage: pullproxy /m);
      expect(spec.examples.length).toBeGreaterThan(0);
      for (const [line] of spec.examples) expect(help).toContain(`  ${line}\n`);
    },
  );

  test('fits a terminal, but for lines to be copied', () => {
    const lines = [programHelp(), ...COMMANDS.map(commandHelp)].join('\n').split('\n');
    const toCopy = /^(Usage:)|^ {2}(pullproxy|--)/;
    expect(lines.filter((line) => line.length > 96 && !toCopy.test(line))).toEqual([]);
  });
});
