/**
 * Text for terminals. Names, errors and output of commands come from outside. An escape sequence in them could move the cursor, set the
 * window's title or type for the person at the keyboard, and a bidi override could show another name than the real one.
 */

/** Controls (C0, DEL, C1), formats (bidi, zero width, tags), line and paragraph separators, halves of surrogate pairs. */
const PLAIN = /^[\n\x20-\x7e]*$/;
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Writes each such character as JSON does, `\u001b`, so that the text is one line. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** The same, but lines stay lines: for text that we wrote, and for JSON, whose meaning stays the same. */
export function printableLines(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNPRINTABLE, (letter) => (letter === '\n' ? letter : escaped(letter)));
}

/** Makes all texts in it printable, names of fields too. */
export function printableAll<T>(value: T): T {
  if (typeof value === 'string') return printable(value) as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(printableAll) as T;
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [printableAll(key), printableAll(one)])) as T;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [printable(key), printableAll(one)])) as T;
}

function escaped(letter: string): string {
  let text = '';
  for (let at = 0; at < letter.length; at++) text += `\\u${letter.charCodeAt(at).toString(16).padStart(4, '0')}`;
  return text;
}
