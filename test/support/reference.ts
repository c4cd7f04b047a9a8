/** The tables of deploy/reference.md that are written from the code: commands, settings, the keys of routes, and the example of a file. */
import { readFileSync } from 'node:fs';
import type { Described } from '../../src/config/command-spec.ts';
import { COMMANDS } from '../../src/config/commands/all.ts';
import { DEFAULT_ROUTE_SETTINGS, ROUTE_KEYS, writeRouteSettings } from '../../src/config/route-settings.ts';
import type { Setting } from '../../src/config/settings.ts';

export const EXAMPLE = new URL('../../deploy/examples/node.yaml', import.meta.url);

/** Rewrites what stands between `<!-- commands -->` and `<!-- /commands -->`, and the same of the other tables. */
export function withReference(text: string): string {
  const parts = { commands, settings, routes, example };
  return Object.entries(parts).reduce((written, [name, content]) => between(written, name, content()), text);
}

function between(text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the reference has no ${begin.trim()} ... ${end}`);
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

function routes(): string {
  const defaultValue = writeRouteSettings(DEFAULT_ROUTE_SETTINGS);
  const rows = Object.entries(ROUTE_KEYS).map(([name, { kind, help }]) => {
    const value = kind.placeholder.replaceAll('|', '\\|');
    return `| \`${name}=${value}\` | ${defaultValue[name] === undefined ? '' : `\`${defaultValue[name]}\``} | ${escaped(help)} |`;
  });
  return ['| key | default | |', '| --- | --- | --- |', ...rows].join('\n');
}

function example(): string {
  return ['```yaml', readFileSync(EXAMPLE, 'utf8').trim(), '```'].join('\n');
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
