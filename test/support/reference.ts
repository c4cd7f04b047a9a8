/** The README's reference of commands and settings, as the code has them. */
import type { Described } from '../../src/config/command-spec.ts';
import { COMMANDS } from '../../src/config/commands.ts';
import type { Setting } from '../../src/config/settings.ts';

/** Rewrites what stands between `<!-- commands -->` and `<!-- /commands -->`, and the same of settings. */
export function withReference(readme: string): string {
  return between(between(readme, 'commands', commands()), 'settings', settings());
}

function between(text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the README has no ${begin.trim()} ... ${end}`);
  return `${text.slice(0, from)}${begin}\n${content}\n\n${text.slice(to)}`;
}

function commands(): string {
  const widest = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.flatMap(({ name, usage }) => usage.map((line) => `pullproxy ${name.padEnd(widest)}  ${line}`));
  return ['```', ...lines, '```'].join('\n');
}

/** One row a flag: the same flag means the same everywhere, or else there is a row for each meaning. */
function settings(): string {
  const rows = new Map<string, { one: Setting<unknown>; commands: string[] }>();
  for (const spec of COMMANDS as readonly Described[]) {
    for (const one of Object.values(spec.settings)) {
      const key = [one.flag, one.defaultText, one.help].join('\n');
      const row = rows.get(key) ?? { one, commands: [] };
      row.commands.push(spec.name);
      rows.set(key, row);
    }
  }
  return [
    '| flag | default | of | |',
    '| --- | --- | --- | --- |',
    ...[...rows.values()]
      .toSorted((a, b) => (a.one.flag < b.one.flag ? -1 : a.one.flag > b.one.flag ? 1 : 0))
      .map(({ one, commands }) => `| \`${flagOf(one)}\` | ${defaultOf(one)} | ${commands.join(', ')} | ${escaped(one.help)} |`),
  ].join('\n');
}

function flagOf({ flag, form, placeholder }: Setting<unknown>): string {
  return `--${flag}${form === 'switch' ? '' : ` ${placeholder.replaceAll('|', '\\|')}`}${form === 'many' ? '...' : ''}`;
}

function defaultOf({ required, defaultText }: Setting<unknown>): string {
  return required ? 'required' : defaultText === '' ? '' : `\`${defaultText}\``;
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('<', '&lt;');
}
