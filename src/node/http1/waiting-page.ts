/** The page for a browser while an application starts: it asks again by itself. Other clients never get it. */
import type { RequestHead } from './head/request-head.ts';

/** Between two looks. */
export const LOOK_AGAIN_SECONDS = 2;

/** A person in front of a browser opens a page: `Accept` names HTML, and nothing says that it is a part of another page. */
export function isNavigation(head: RequestHead): boolean {
  if (head.method !== 'GET' || head.upgrade || head.framing !== 'none') return false;
  const accept = head.field('accept');
  const mode = head.field('sec-fetch-mode');
  return accept !== null && /(^|,)\s*text\/html\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(accept) && (mode === null || mode === 'navigate');
}

export const WAITING_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="${LOOK_AGAIN_SECONDS}">
<title>Starting…</title>
<style>
  :root { color-scheme: light dark; }
  body { display: grid; min-height: 90vh; place-items: center; font: 1.1rem/1.5 system-ui, sans-serif; }
  main { text-align: center; }
  p { margin: 0.3rem; }
  progress { width: 12rem; }
</style>
</head>
<body>
<main role="status">
<p>This application is starting.</p>
<p><progress aria-label="Starting"></progress></p>
<p><small>The page appears here by itself.</small></p>
</main>
</body>
</html>
`;
