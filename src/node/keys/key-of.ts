/** Which key a request is for. */
import type { KeySource } from '../../config/key-source.ts';
import { isKey } from '../../config/route-key.ts';
import { type ClientWord, cookiesOf } from '../matching/queue-rules.ts';
import { pathOf, readingsOf } from '../matching/route-table.ts';

/** What was asked for. */
export interface Asked {
  /** Lower-case, without port; empty: the protocol does not say it. */
  readonly host: string;
  /** As the client says it; empty: there is none. */
  readonly target: string;
}

/** `missing`: it says none, or what can't be one. `unclear`: pullproxy and the application could read two. */
export type SaidKey = { readonly key: string } | 'missing' | 'unclear';

export function keyOf(source: KeySource, { host, target }: Asked, word: ClientWord): SaidKey {
  if (source.from === 'host') return said(host);
  if (source.from === 'header') return said(word.header(source.name));
  if (source.from === 'path') return segmentOf(target, source.at);
  const values = new Set(cookiesOf(word.header('cookie'), source.name));
  // Applications take the first or the last one.
  return values.size > 1 ? 'unclear' : said([...values][0] ?? '');
}

function segmentOf(target: string, at: number): SaidKey {
  const path = pathOf(target);
  const segment = path.split('/')[at] ?? '';
  const readings = readingsOf(path);
  if (readings === null) return 'unclear';
  for (const reading of readings) if ((reading.split('/')[at] ?? '') !== segment) return 'unclear';
  return said(segment);
}

function said(text: string): SaidKey {
  return isKey(text) ? { key: text } : 'missing';
}
