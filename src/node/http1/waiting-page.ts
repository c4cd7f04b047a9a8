/** The page for a browser that waits: it asks again by itself. Other clients never get it. */
import { acceptsType } from './head/headers.ts';
import type { RequestHead } from './head/request-head.ts';

/** Until it asks again: it keeps its place in the line meanwhile. */
export const LOOK_AGAIN_SECONDS = 1;

const HTML = /(^|,)\s*text\/html\b/gi;

/** A person in front of a browser opens a page: `Accept` names HTML, and nothing says that it is a part of another page. */
export function isNavigation(head: RequestHead): boolean {
  if (head.method !== 'GET' || head.upgrade || head.framing !== 'none') return false;
  const accept = head.field('accept');
  const mode = head.field('sec-fetch-mode');
  return accept !== null && acceptsType(accept, HTML) && (mode === null || mode === 'navigate');
}

/** What a page can say. */
export interface PageFacts {
  readonly route: string;
  readonly host: string;
  readonly state: 'starting' | 'busy' | 'paused';
  /** In the line over all nodes, the first one is 1; null: not known. */
  readonly position: number | null;
  /** How long it will still take, in ms; null: not known. */
  readonly waitMs: number | null;
}

/** Each `{{name}}` of a page, by what stands in its place. A test compares them with the documents. */
export const PLACEHOLDERS: Readonly<Record<string, (facts: PageFacts) => string>> = {
  message: ({ state }) => MESSAGES[state],
  place: ({ position }) => (position === null ? '' : position === 1 ? 'You are next.' : `You are number ${position} in line.`),
  position: ({ position }) => String(position ?? ''),
  wait: ({ waitMs }) => (waitMs === null ? '' : waitInWords(waitMs)),
  wait_seconds: ({ waitMs }) => (waitMs === null ? '' : String(Math.ceil(waitMs / 1_000))),
  state: ({ state }) => state,
  route: ({ route }) => route,
  host: ({ host }) => host,
  refresh_seconds: () => String(LOOK_AGAIN_SECONDS),
};

const MESSAGES: Readonly<Record<PageFacts['state'], string>> = {
  starting: 'This application is starting.',
  busy: 'This application is busy.',
  paused: 'This application is paused for a moment.',
};

function waitInWords(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 8) return 'a few seconds';
  if (seconds < 58) return `about ${Math.round(seconds / 5) * 5} seconds`;
  const minutes = Math.round(seconds / 60);
  if (minutes <= 1) return 'about a minute';
  return minutes < 100 ? `about ${minutes} minutes` : 'more than an hour';
}

/** A page with its placeholders. */
export class PageTemplate {
  /** Text and names of placeholders in turn. */
  readonly #parts: readonly string[];

  /** @throws Error that names a placeholder which does not exist */
  constructor(text: string) {
    this.#parts = text.split(/\{\{\s*(\w+)\s*\}\}/);
    for (const name of this.#names) if (!Object.hasOwn(PLACEHOLDERS, name)) throw new Error(`{{${name}}} is no placeholder`);
  }

  get #names(): readonly string[] {
    return this.#parts.filter((_, i) => i % 2 === 1);
  }

  /** A placeholder stands for text: in an element, or in an attribute with quotes. */
  render(facts: PageFacts): string {
    return this.#parts.map((part, i) => (i % 2 === 0 ? part : escaped(PLACEHOLDERS[part]?.(facts) ?? ''))).join('');
  }
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ESCAPES[char] ?? '');
}

export const OWN_PAGE = new PageTemplate(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{host}}</title>
<style>
  :root { color-scheme: light dark; }
  body { display: grid; min-height: 90vh; place-items: center; font: 1.1rem/1.5 system-ui, sans-serif; }
  main { text-align: center; }
  p { margin: 0.3rem; }
  p:empty, p[data-wait=""] { display: none; }
  progress { width: 12rem; }
</style>
</head>
<body>
<main role="status">
<p>{{message}}</p>
<p>{{place}}</p>
<p data-wait="{{wait}}">It takes {{wait}}.</p>
<p><progress aria-label="Waiting"></progress></p>
<p><small>The page appears here by itself.</small></p>
</main>
</body>
</html>
`);
