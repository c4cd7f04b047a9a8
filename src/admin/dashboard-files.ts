import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, extname } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface DashboardFile {
  readonly path: string;
  readonly contentType: string;
  readonly content: Buffer;
}

/** The page may load only our own files, and no other page may put it into a frame. */
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

const PAGES: Readonly<Record<string, string>> = { 'index.html': '/', 'jobs.html': '/jobs' };
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
/** The charts are drawn by uPlot, whose files are copied to the page's own in the package. */
const CHARTS = ['uplot/dist/uPlot.iife.min.js', 'uplot/dist/uPlot.min.css'];

/** The pages at `/` and `/jobs`, and their files below `/assets/`. */
export function readDashboardFiles(): readonly DashboardFile[] {
  const own = readdirSync(new URL('./dashboard/', import.meta.url)).map((name) => new URL(`./dashboard/${name}`, import.meta.url));
  const installed = createRequire(import.meta.url);
  const copied = new Set(own.map(nameOf));
  const charts = CHARTS.filter((specifier) => !copied.has(basename(specifier))).map((specifier) =>
    pathToFileURL(installed.resolve(specifier)),
  );
  return [...own, ...charts].map(read);
}

function read(file: URL): DashboardFile {
  const name = nameOf(file);
  return {
    path: PAGES[name] ?? `/assets/${name}`,
    contentType: TYPES[extname(name)] ?? 'application/octet-stream',
    content: readFileSync(file),
  };
}

function nameOf(file: URL): string {
  return basename(file.pathname);
}
