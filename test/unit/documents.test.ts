/** The documents: their links lead somewhere, their pictures are in the package, and what is written from the code is that of the code. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../src/config/commands/all.ts';
import { NODE } from '../../src/config/commands/node.ts';
import { loadCommand } from '../../src/config/load.ts';
import { parseRouteSettings, ROUTE_KEYS } from '../../src/config/route-settings.ts';
import { EXAMPLE, withReference } from '../support/reference.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PICTURE_BYTES_MAX = 150_000;
const README_LINES_MAX = 260;

const below = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path));
const paths = [...readdirSync(ROOT), ...['deploy', 'src', 'test'].flatMap(below)].filter((path) => path.endsWith('.md'));
const documents = new Map(paths.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]));
const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };

interface Target {
  readonly link: string;
  /** Relative to the top, without what follows #. */
  readonly path: string;
  readonly anchor: string;
  readonly isPicture: boolean;
}

/** What a document links to within the repository. */
function targets(document: string, text: string): Target[] {
  const prose = text.replaceAll(/```[\s\S]*?```/g, '').replaceAll(/`[^`\n]*`/g, '');
  const markdown = [...prose.matchAll(/(!?)\[(?:[^\]]*)\]\(([^)\s]+)\)/g)].map(([, mark, link = '']) => ({
    link,
    isPicture: mark === '!',
  }));
  const html = [...prose.matchAll(/<img[^>]*\bsrc="([^"]+)"/g)].map(([, link = '']) => ({ link, isPicture: true }));
  return [...markdown, ...html]
    .filter(({ link }) => !/^[a-z]+:/.test(link))
    .map(({ link, isPicture }) => {
      const [file = '', anchor = ''] = link.split('#');
      return { link, isPicture, anchor, path: file === '' ? document : normalize(join(dirname(document), file)) };
    });
}

/** The anchors of a document's headings, as GitHub and npm make them. */
function anchors(text: string): string[] {
  const headings = [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading ?? '');
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function brokenLinks(document: string, text: string): string[] {
  return targets(document, text)
    .filter(({ path, anchor }) => {
      if (!existsSync(join(ROOT, path))) return true;
      return anchor !== '' && !anchors(documents.get(path) ?? text).includes(anchor);
    })
    .map(({ link }) => link);
}

function isPacked(path: string): boolean {
  return ['README.md', ...files].some((one) => path === one || path.startsWith(`${one}/`));
}

describe('the documents', () => {
  test.each([...documents.keys()])('every link in %s leads to a file that is there, and to one of its headings', (document) => {
    expect(brokenLinks(document, documents.get(document) ?? '')).toEqual([]);
  });

  test('a link to nothing would be found', () => {
    expect(brokenLinks('README.md', '[one](nowhere.md) [two](#nothing) [three](deploy/README.md#nothing) [four](LICENSE)')).toEqual([
      'nowhere.md',
      '#nothing',
      'deploy/README.md#nothing',
    ]);
  });

  test('what the package shows is in the package, and every picture is shown', () => {
    const shown = [...documents].filter(([path]) => isPacked(path)).flatMap(([path, text]) => targets(path, text));
    const pictures = [...new Set(shown.filter(({ isPicture }) => isPicture).map(({ path }) => path))];
    expect(pictures.filter((path) => !isPacked(path))).toEqual([]);
    for (const path of pictures) expect([path, statSync(join(ROOT, path)).size < PICTURE_BYTES_MAX]).toEqual([path, true]);
    const there = readdirSync(join(ROOT, 'deploy/pictures')).map((file) => `deploy/pictures/${file}`);
    expect(there.toSorted()).toEqual(pictures.toSorted());
  });

  test('every document can be reached from the README', () => {
    const reached = new Set(['README.md']);
    for (const path of reached) {
      for (const target of targets(path, documents.get(path) ?? '')) if (documents.has(target.path)) reached.add(target.path);
    }
    expect([...documents.keys()].filter((path) => !reached.has(path))).toEqual([]);
  });

  test(`the README has at most ${README_LINES_MAX} lines, and names each of its parts at the top`, () => {
    const readme = documents.get('README.md') ?? '';
    expect(readme.split('\n').length).toBeLessThanOrEqual(README_LINES_MAX);
    const [, contents = '', after = ''] = /\n## Contents\n([\s\S]*?)\n(## [\s\S]*)$/.exec(readme) ?? [];
    const listed = [...contents.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor);
    expect(listed).toEqual(anchors([...after.matchAll(/^## .*$/gm)].join('\n')));
  });
});

describe('the reference', () => {
  test('has the commands, settings and keys of routes that the code has: npm run reference writes them', () => {
    const reference = documents.get('deploy/reference.md') ?? '';
    expect(withReference(reference)).toBe(reference);
  });

  test('a command that is missing would be noticed', () => {
    const without = (documents.get('deploy/reference.md') ?? '').replace(`pullproxy ${COMMANDS[0]?.name}`, '');
    expect(withReference(without)).not.toBe(without);
  });

  test('its configuration file is one that a node loads, with every key of a route', async () => {
    const loaded = await loadCommand(NODE, ['--config', fileURLToPath(EXAMPLE)], {});
    const routes = [...(loaded?.routes ?? [])];
    expect(loaded?.values).toMatchObject({ holdTimeoutMs: 30_000, maxInstances: 10, secretFile: '/etc/pullproxy/secrets' });
    expect(loaded?.values.listen.map(({ protocol }) => protocol)).toEqual(['http', 'tcp']);
    expect(routes.map(([name]) => name)).toContain('app.example.com');
    const used = new Set(routes.flatMap(([, record]) => Object.keys(parseRouteSettings(record) && record)));
    // No file sets `source`: it is the word of what has discovered the route.
    expect([...used, 'source'].toSorted()).toEqual(Object.keys(ROUTE_KEYS).toSorted());
  });
});
