/** The log of `dev` for the person at the terminal: one short line for each entry. */
import { printable } from '../../printable.ts';
import type { Paint, Style } from '../terminal/paint.ts';

const LINE_CHARS_MAX = 1_000;
const LEVELS: Readonly<Record<number, readonly [word: string, style: Style]>> = {
  40: ['warning: ', 'yellow'],
  50: ['error: ', 'red'],
  60: ['fatal: ', 'red'],
};
/** Facts for programs: the person sees them anyway, or has no use for them. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'level',
  'time',
  'name',
  'pid',
  'hostname',
  'msg',
  'route',
  'startId',
  'instance',
  'reason',
  'err',
  'app',
  'node',
]);
/** The welcome says this, with all addresses. */
const SAID_ALREADY: ReadonlySet<unknown> = new Set(['ready']);
const COLOURS: readonly Style[] = ['cyan', 'green', 'magenta', 'blue', 'yellow'];

/** Short names of instances, for as long as they run: `app 1`. */
export class InstanceNames {
  readonly #names = new Map<string, number>();
  #last = 0;

  /** `ids`: its instance and its start. Returns its number. */
  add(ids: readonly string[]): number {
    this.#last++;
    for (const id of ids) this.#names.set(id, this.#last);
    return this.#last;
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.#names.delete(id);
  }

  numberOf(id: unknown): number | null {
    return typeof id === 'string' ? (this.#names.get(id) ?? null) : null;
  }
}

export function instancePrefix(number: number, paint: Paint): string {
  return paint(COLOURS[(number - 1) % COLOURS.length] ?? 'cyan', `app ${number} │ `);
}

/** Makes text of a line of JSON; empty: nothing is to be shown. */
export function peopleLine(json: string, names: InstanceNames, paint: Paint): string {
  const entry = JSON.parse(json) as Record<string, unknown>;
  if (SAID_ALREADY.has(entry.msg)) return '';
  const number = names.numberOf(entry.instance) ?? names.numberOf(entry.startId);
  const [word, style] = LEVELS[Number(entry.level)] ?? ['', 'dim'];
  const why = entry.reason ?? (entry.err as { message?: unknown } | undefined)?.message;
  const facts = Object.entries(entry).flatMap(([name, value]) => (LEFT_OUT.has(name) || value === null ? [] : [`${name} ${shown(value)}`]));
  const said = [`${word}${shown(entry.msg ?? '')}`, ...(why === undefined ? [] : [shown(why)])].join(': ');
  const text = printable(`${said}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`);
  const time = paint('dim', clock(entry.time));
  return `${time} ${number === null ? '' : instancePrefix(number, paint)}${paint(style, text.slice(0, LINE_CHARS_MAX))}\n`;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** As the person's clock shows it. */
function clock(time: unknown): string {
  const at = new Date(String(time));
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}
