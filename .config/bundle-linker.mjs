/**
 * Puts the linker's command into one file, dist/cli/linker.cjs, or where the first argument says: a linker starts with each instance, and reading some 130 modules is most of
 * the time that it takes. CommonJS, because an import of Node's own modules evaluates every export of theirs, such as node:http's WebSocket.
 * The licences of the packages in it stand beside it.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const ROOMS = ['cli', 'config', 'link', 'linker', 'memory'];
const OUT = process.argv[2] ?? 'dist/cli/linker.cjs';

const { metafile } = await build({
  entryPoints: ['src/cli/linker-bundle.ts'],
  outfile: OUT,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  // Loaded where a configuration file is read.
  external: ['yaml'],
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  legalComments: 'none',
  // Names stay, for stacks. The text is in memory while the linker runs.
  minifyWhitespace: true,
  minifySyntax: true,
  // Of the packages' imports.
  alias: { assert: './.config/lean/assert.cjs', worker_threads: './.config/lean/worker-threads.cjs' },
  // Paths stay within the project, wherever node_modules really is.
  preserveSymlinks: true,
  metafile: true,
});

const rooms = new Set(Object.keys(metafile.inputs).flatMap((path) => /^src\/([^/]+)\//.exec(path)?.[1] ?? []));
const foreign = [...rooms].filter((room) => !ROOMS.includes(room));
if (foreign.length > 0)
  throw new Error(`the linker's file has src/${foreign.join(', src/')} in it: a linker needs ${ROOMS.join(', ')} alone`);
const packages = new Set(Object.keys(metafile.inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));
const licences = [...packages].toSorted().map(async (name) => {
  const file = (await readdir(`node_modules/${name}`)).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} has no licence: it can not be a part of ${OUT}`);
  return `${name}\n\n${await readFile(`node_modules/${name}/${file}`, 'utf8')}`;
});
await writeFile(OUT.replace(/\.cjs$/, '.licences.txt'), (await Promise.all(licences)).join('\n----\n\n'));
