import type { Described } from '../../config/command-spec.ts';
import { COMMANDS } from '../../config/commands/all.ts';
import { environmentName, type Setting } from '../../config/settings.ts';

const WIDTH = 96;

/** The text of `pullproxy --help`. */
export function programHelp(): string {
  const widest = Math.max(...COMMANDS.map(({ name }) => name.length));
  return [
    'pullproxy: a load balancer that lets the application decide how much load it takes.',
    '',
    wrap(
      'Clients wait at a node until an instance of their application has a free slot. Instances are started when clients wait, and leave when they are idle.',
      0,
    ),
    '',
    'Usage: pullproxy COMMAND [FLAGS]',
    '',
    'Commands:',
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(widest)}  ${summary}`),
    '',
    'Begin with:',
    '  pullproxy dev -- node server.js',
    '',
    '"pullproxy COMMAND --help" explains a command, "pullproxy --version" prints the version.',
  ].join('\n');
}

/** The text of `pullproxy COMMAND --help`. */
export function commandHelp(spec: Described): string {
  return [
    `pullproxy ${spec.name}: ${spec.summary}`,
    '',
    ...spec.usage.map((line) => `Usage: pullproxy ${spec.name} ${line}`),
    '',
    ...spec.about.split('\n').map((line) => wrap(line, line.startsWith('  ') ? 4 : 0)),
    '',
    'Examples:',
    ...spec.examples.flatMap(([line, what]) => [`  ${line}`, `      ${what}`]),
    '',
    ...(Object.keys(spec.settings).length === 0 ? [] : settingsHelp(spec)),
  ].join('\n');
}

function settingsHelp(spec: Described): string[] {
  const sample = spec.settings.logLevel ?? spec.settings.redis;
  return [
    'Settings:',
    ...Object.values(spec.settings).flatMap(settingHelp),
    '',
    wrap(
      `Each setting also works as an environment variable${sample === undefined ? '' : ` (--${sample.flag} is ${environmentName(sample.flag)})`} and as a key in the YAML file that --config names${sample === undefined ? '' : ` (${sample.flag}: ${sample.defaultText})`}. Flags beat the environment, which beats the file.`,
      0,
    ),
  ];
}

function settingHelp(one: Setting<unknown>): string[] {
  const value = one.form === 'switch' ? '' : ` ${one.placeholder}`;
  const repeat = one.form === 'many' ? '...' : '';
  const defaultValue = one.defaultText === '' ? '' : ` [${one.defaultText}]`;
  const letter = one.letter === undefined ? '' : `, or -${one.letter}`;
  return [`  --${one.flag}${value}${repeat}${letter}${one.required ? ' (required)' : defaultValue}`, wrap(`      ${one.help}`, 6)];
}

/** Breaks a line at spaces and indents the following lines. */
function wrap(line: string, indent: number): string {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > WIDTH) {
    const space = rest.lastIndexOf(' ', WIDTH);
    if (space <= indent) break;
    lines.push(rest.slice(0, space));
    rest = ' '.repeat(indent) + rest.slice(space + 1);
  }
  return [...lines, rest].join('\n');
}
