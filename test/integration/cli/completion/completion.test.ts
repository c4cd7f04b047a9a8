/** Completion scripts, in the shells themselves: bash is everywhere, the others are asked where they are. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { completionScript } from '../../../../src/cli/commands/completion.ts';
import { COMMANDS } from '../../../../src/config/commands/all.ts';
import { ROUTE_KEYS } from '../../../../src/config/route-settings.ts';

const names = COMMANDS.map(({ name }) => name);
const folder = mkdtempSync(join(tmpdir(), 'pullproxy-completion-'));
afterAll(() => rmSync(folder, { recursive: true }));

const isThere = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0;

/** What bash offers at the end of this line. `pullproxy` is not there: routes are what `routes` says. */
function bash(line: string, routes = ''): string[] {
  const script = `pullproxy() { printf '${routes}'; }
    source /dev/stdin <<'SCRIPT'
${completionScript('bash')}
SCRIPT
    COMP_WORDS=(${line
      .split(' ')
      .map((word) => `'${word}'`)
      .join(' ')}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _pullproxy; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
  expect([status, stderr.replaceAll(/.*compopt.*\n/g, '')]).toEqual([0, '']);
  return stdout.split('\n').filter(Boolean);
}

describe('in bash', () => {
  test.each<[string, readonly string[]]>([
    ['pullproxy ', [...names, '--help', '--version']],
    ['pullproxy st', ['status']],
    ['pullproxy node --log-level ', ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']],
    ['pullproxy node --log-level d', ['debug']],
    ['pullproxy node --listen ', []],
    ['pullproxy status --', ['--redis', '--json', '--watch', '--exit-code', '--config', '--help']],
    ['pullproxy route ', ['list', 'get', 'set', 'delete', 'restart', 'pause', 'resume', 'apply', 'export']],
    ['pullproxy route set a.example.com ', Object.keys(ROUTE_KEYS).map((key) => `${key}=`)],
    // As bash divides it.
    ['pullproxy route set a.example.com balance =', ['newest', 'spread']],
    ['pullproxy route set a.example.com maxHeld = 3 protocol = h', ['http1', 'h2c']],
    ['pullproxy route set a.example.com maxHeld =', []],
    ['pullproxy route set a.example.com fairBy =', ['client']],
    ['pullproxy completion ', ['bash', 'zsh', 'fish']],
    ['pullproxy dev -- --', []],
  ])('"%s"', (line, expected) => {
    expect(bash(line)).toEqual(expected);
  });

  test.each(['pullproxy route get ', 'pullproxy route delete ', 'pullproxy route pause ', 'pullproxy inspect '])(
    '"%s" offers the routes that there are',
    (line) => {
      expect(bash(line, 'a.example.com  maxHeld=1\\n*.b.example.com\\n')).toEqual(['a.example.com', '*.b.example.com']);
    },
  );

  test('a file is offered where one is expected', () => {
    expect(bash('pullproxy node --config /etc/passw')).toContain('/etc/passwd');
  });
});

test.each(['zsh', 'fish'] as const)(
  'the script for %s names every command and flag, and is one where the shell is there to say so',
  (shell) => {
    const script = completionScript(shell);
    for (const { name, settings } of COMMANDS) {
      expect(script).toContain(name);
      for (const { flag } of Object.values(settings)) expect(script).toMatch(new RegExp(`(--|-l )${flag}\\b`));
    }
    if (!isThere(shell)) return;
    const { status, stderr } = spawnSync(shell, [shell === 'zsh' ? '-n' : '--no-execute', scriptFile(shell)], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  },
);

test.each([
  ['pullproxy ', 'inspect'],
  ['pullproxy route set a max', 'maxInstances='],
  ['pullproxy route set a bal', 'balance=spread'],
  ['pullproxy node --log-level ', 'debug'],
])('in fish, where it is there: "%s"', (line, expected) => {
  if (!isThere('fish')) return;
  const { stdout } = spawnSync('fish', ['--no-config', '-c', `source ${scriptFile('fish')}; complete -C '${line}'`], { encoding: 'utf8' });
  expect(stdout).toContain(expected);
});

function scriptFile(shell: 'zsh' | 'fish'): string {
  const file = join(folder, shell);
  writeFileSync(file, completionScript(shell));
  return file;
}
