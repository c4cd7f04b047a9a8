import { readFileSync } from 'node:fs';

export interface DashboardFile {
  readonly path: string;
  readonly contentType: string;
  readonly content: Buffer;
}

/** Nothing but our own files, and nobody may put the page into a frame. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page at `/` and what it loads. */
export function readDashboardFiles(): readonly DashboardFile[] {
  return [
    file('/', 'index.html', 'text/html; charset=utf-8'),
    file('/dashboard.css', 'dashboard.css', 'text/css; charset=utf-8'),
    file('/dashboard.js', 'dashboard.js', 'text/javascript; charset=utf-8'),
    file('/icon.svg', 'icon.svg', 'image/svg+xml'),
  ];
}

function file(path: string, name: string, contentType: string): DashboardFile {
  return { path, contentType, content: readFileSync(new URL(`./dashboard/${name}`, import.meta.url)) };
}
