import type { ClusterEvent } from '../../events/event.ts';
import { printable } from '../../printable.ts';
import type { paintFor } from './paint.ts';

const COLOURS = { error: 'red', warning: 'yellow', note: 'dim' } as const;

/** `2026-11-29 15:04:05  node-1  app.example.com  instance i1 is gone: …` */
export function eventLine({ at, level, source, route, text, count }: ClusterEvent, paint: ReturnType<typeof paintFor>): string {
  const moment = new Date(at).toISOString().replace('T', ' ').slice(0, 19);
  const often = count > 1 ? ` (${count} times)` : '';
  const said = `${level === 'note' ? '' : `${level}: `}${text}${often}`;
  return printable([moment, source, ...(route === null ? [] : [route]), ''].join('  ')) + paint(COLOURS[level], printable(said));
}
