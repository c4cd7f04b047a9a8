/** The output of one instance of the application: shown to the person at the terminal, and its last lines kept for the case that it fails. */
import { stripVTControlCharacters } from 'node:util';
import { printable } from '../../printable.ts';

/** A longer line is cut. */
const LINE_CHARS_MAX = 2_000;
/** More lines in one second are counted, and not shown. */
const LINES_PER_SECOND_MAX = 200;
const KEPT_LINES_MAX = 20;
const KEPT_LINE_CHARS_MAX = 500;

export interface AppOutputOptions {
  /** Shows one line without its newline; null: the text goes out as it is, by `raw`. */
  readonly line: ((text: string) => void) | null;
  readonly raw: (text: string) => void;
  /** Milliseconds that never go back. */
  readonly now: () => number;
}

export class AppOutput {
  readonly #options: AppOutputOptions;
  readonly #begun = { stdout: '', stderr: '' };
  readonly #kept: string[] = [];
  #second = Number.NEGATIVE_INFINITY;
  #shown = 0;
  #leftOut = 0;

  constructor(options: AppOutputOptions) {
    this.#options = options;
  }

  take(from: 'stdout' | 'stderr', text: string): void {
    if (this.#options.line === null) this.#options.raw(text);
    const lines = `${this.#begun[from]}${text}`.split('\n');
    const rest = lines.pop() ?? '';
    // The part that is cut off is never seen, so it is not kept.
    this.#begun[from] = rest.slice(0, LINE_CHARS_MAX + 1);
    for (const line of lines) this.#line(line);
  }

  /** The application has ended: shows what has no newline, and how much was left out. */
  end(): void {
    for (const from of ['stdout', 'stderr'] as const) {
      if (this.#begun[from] !== '') this.#line(this.#begun[from]);
      this.#begun[from] = '';
    }
    this.#sayLeftOut();
  }

  /** The last lines, without control characters. */
  get last(): readonly string[] {
    return this.#kept;
  }

  #line(text: string): void {
    const plain = readable(text);
    this.#kept.push(cut(plain, KEPT_LINE_CHARS_MAX));
    if (this.#kept.length > KEPT_LINES_MAX) this.#kept.shift();
    this.#show(plain);
  }

  #show(text: string): void {
    const { line, now } = this.#options;
    if (line === null) return;
    const at = now();
    if (at - this.#second >= 1_000) {
      this.#sayLeftOut();
      this.#second = at;
      this.#shown = 0;
    }
    if (this.#shown < LINES_PER_SECOND_MAX) {
      this.#shown++;
      line(text);
    } else this.#leftOut++;
  }

  #sayLeftOut(): void {
    if (this.#leftOut > 0) this.#options.line?.(`… ${this.#leftOut} more lines in that second are not shown`);
    this.#leftOut = 0;
  }
}

/** One line of plain text: no colours, no controls; tabs, as stack traces have them, are spaces. */
function readable(text: string): string {
  return printable(stripVTControlCharacters(cut(text, LINE_CHARS_MAX)).replace(/\r$/, '').replaceAll('\t', '  '));
}

function cut(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`;
}
