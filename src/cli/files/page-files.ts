/** The waiting pages of an operator, from the files of a directory: NAME.html for the route NAME, default.html for all others. */
import { closeSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { problem } from '../../config/kinds.ts';
import { isRouteName } from '../../config/route-name.ts';
import { ConfigError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { Pages } from '../../node/http1/pages.ts';
import { PageTemplate } from '../../node/http1/waiting-page.ts';
import { digestOf, outcomesOf, type Prepared, type Reloadable } from './reloadable.ts';

export interface PageSettings {
  readonly pagesDir?: string | undefined;
}

const PAGE_BYTES_MAX = 65_536;
const PAGES_MAX = 1_000;
const ALL_PAGES_BYTES_MAX = 16 * 1_048_576;
const SUFFIX = '.html';
/** A route of this name has this page, too. */
const OTHERS = 'default';

export class PageFiles implements Reloadable<PageSettings> {
  readonly pages = new Pages();
  readonly #log: Log;
  #digest = '';

  /** @throws ConfigError when a page can not be used */
  constructor(settings: PageSettings, log: Log) {
    this.#log = log;
    this.#use(readPages(settings));
  }

  prepare(next: PageSettings): Prepared {
    const read = readPages(next);
    const outcomes = outcomesOf({ pages: this.#digest }, { pages: read.digest });
    return {
      outcomes,
      apply: () => {
        this.#use(read);
        this.#log.info({ pages: read.byName.size }, 'waiting pages reloaded');
      },
    };
  }

  #use({ byName, digest }: ReadPages): void {
    this.#digest = digest;
    this.pages.use(byName, byName.get(OTHERS) ?? null);
  }
}

interface ReadPages {
  readonly byName: ReadonlyMap<string, PageTemplate>;
  readonly digest: string;
}

/** @throws ConfigError with all that is wrong */
export function readPages({ pagesDir }: PageSettings): ReadPages {
  const byName = new Map<string, PageTemplate>();
  if (pagesDir === undefined) return { byName, digest: '' };
  const problems: string[] = [];
  const contents: string[] = [pagesDir];
  let bytes = 0;
  for (const file of htmlFilesIn(pagesDir)) {
    const path = join(pagesDir, file);
    const name = file.slice(0, -SUFFIX.length);
    try {
      if (!isRouteName(name)) throw new Error('it is not called after a route');
      const text = readPage(pagesDir, path);
      bytes += Buffer.byteLength(text);
      if (bytes > ALL_PAGES_BYTES_MAX) throw new Error(`all pages together have more than ${ALL_PAGES_BYTES_MAX / 1_048_576} MiB`);
      byName.set(name, new PageTemplate(text));
      contents.push(name, text);
    } catch (error) {
      problems.push(problem('--pages', path, `a page that can be used (${(error as Error).message})`));
      if (bytes > ALL_PAGES_BYTES_MAX) break;
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { byName, digest: digestOf(contents) };
}

function htmlFilesIn(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    throw new ConfigError([problem('--pages', directory, `a directory with pages (${(error as NodeJS.ErrnoException).code})`)]);
  }
  const files = names.filter((name) => name.endsWith(SUFFIX)).sort();
  if (files.length > PAGES_MAX)
    throw new ConfigError([problem('--pages', directory, `at most ${PAGES_MAX} pages; it has ${files.length}`)]);
  return files;
}

/** A link may lead to another file of the directory, as those of a ConfigMap do, and not out of it. */
function readPage(directory: string, path: string): string {
  const real = realpathSync(path);
  if (!real.startsWith(realpathSync(directory) + sep)) throw new Error('it lies outside the directory');
  if (!statSync(real).isFile()) throw new Error('it is no file');
  const buffer = Buffer.allocUnsafe(PAGE_BYTES_MAX + 1);
  const file = openSync(real, 'r');
  try {
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read)
      read = readSync(file, buffer, length, buffer.length - length, null);
    if (length > PAGE_BYTES_MAX) throw new Error(`it has more than ${PAGE_BYTES_MAX / 1_024} KiB`);
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
  } finally {
    closeSync(file);
  }
}
