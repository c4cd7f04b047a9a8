/** Draws lines at intervals, like `top`: on the alternate screen, which it leaves at the end. */
import { setTimeout as delay } from 'node:timers/promises';

const OWN_SCREEN = '\x1b[?1049h\x1b[?25l';
const GIVE_BACK = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';
/** The size of a terminal that does not tell it. */
const WIDTH_UNKNOWN = 80;
const ROWS_UNKNOWN = 24;
const LEAVE_KEYS = new Set(['q', 'Q', '\x03', '\x04']);

/**
 * Draws until q or Ctrl-C is pressed, or the process is told to end.
 * @param picture lines for a screen of that width; must not reject
 */
export async function watch(picture: (width: number) => Promise<string>, everyMs: number): Promise<void> {
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  const { stdout, stdin } = process;
  const onKey = (key: Buffer): void => {
    if (LEAVE_KEYS.has(key.toString())) leave();
  };
  let drawn = '';
  const redraw = (): boolean => stdout.write(frame(drawn, stdout.rows || ROWS_UNKNOWN));
  process.once('SIGTERM', leave);
  process.once('SIGINT', leave);
  stdout.on('resize', redraw);
  if (stdin.isTTY) stdin.setRawMode(true).on('data', onKey);
  stdout.write(OWN_SCREEN);
  try {
    while (!leaving.signal.aborted) {
      drawn = await picture(stdout.columns || WIDTH_UNKNOWN);
      redraw();
      await delay(everyMs, undefined, { signal: leaving.signal }).catch(() => undefined);
    }
  } finally {
    stdout.write(GIVE_BACK);
    stdout.off('resize', redraw);
    if (stdin.isTTY) stdin.setRawMode(false).off('data', onKey).pause();
  }
}

/** Overwrites each line and clears its rest, so nothing flickers. Lines without room are left out, because a screen that scrolls can't be overwritten. */
export function frame(picture: string, rows: number): string {
  const lines = picture.trimEnd().split('\n');
  const room = rows - 1;
  const shown = lines.length > room ? [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`] : lines;
  return `${HOME}${shown.map((line) => `${line}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`;
}
