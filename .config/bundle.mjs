/**
 * Puts the program into few files: reading some 280 modules, and packages' on top, is most of the processor time that a process takes to start.
 *
 * main.cjs is what is started, young-generation.cjs what a node begins with, linker.cjs a linker with what a linker needs and nothing else, program.cjs all other commands, of which a module runs when it is needed.
 * CommonJS, because the loader of ES modules costs more, and because an import of Node's own modules evaluates every export of theirs, such as node:http's WebSocket.
 * The licences of the packages in them stand beside them, and so do source maps of our own code.
 */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { build } from 'esbuild';
import { lineMap } from './line-map.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');
/** What a linker may have in it. */
const LINKER_ROOMS = ['cli', 'config', 'link', 'linker', 'memory'];
const LINKER_LEAN = { assert: './.config/lean/assert.cjs', worker_threads: './.config/lean/worker-threads.cjs' };
const PACKAGE = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;

/** Gives the paths of what is in them. `out`: the directory for the files. `assets`: where scripts of Redis and the dashboard's files are, laid out as in src. */
export async function bundle(out, assets) {
  await mkdir(out, { recursive: true });
  const plugins = [besideIn(out, assets)];
  const program = await bundleOne(join(out, 'program.cjs'), { entryPoints: [join(SRC, 'cli/main.ts')], plugins });
  await bundleOne(join(out, 'young-generation.cjs'), { entryPoints: [join(SRC, 'cli/process/young-generation.ts')], plugins });
  // Of the packages' imports.
  const linker = await bundleOne(join(out, 'linker.cjs'), {
    entryPoints: [join(SRC, 'cli/linker-bundle.ts')],
    plugins,
    alias: LINKER_LEAN,
  });
  const rooms = new Set(linker.flatMap((path) => /^src\/([^/]+)\//.exec(path)?.[1] ?? []));
  const foreign = [...rooms].filter((room) => !LINKER_ROOMS.includes(room));
  if (foreign.length > 0)
    throw new Error(`the linker's file has src/${foreign.join(', src/')} in it: a linker needs ${LINKER_ROOMS.join(', ')} alone`);
  await writeFile(join(out, 'linker.licences.txt'), await licences(linker));
  await writeFile(join(out, 'program.licences.txt'), await licences(program));
  await cp(join(import.meta.dirname, 'main.cjs'), join(out, 'main.cjs'));
}

/** What an application imports. ES modules, for whoever imports it by `import` or by `require`. */
export async function bundlePull(out) {
  const js = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;
  const paths = await bundleOne(out, { entryPoints: [join(SRC, 'pull/pull.ts')], format: 'esm', banner: { js } });
  await writeFile(out.replace(/\.js$/, '.licences.txt'), await licences(paths));
}

async function bundleOne(outfile, options) {
  const { metafile } = await build({
    format: 'cjs',
    ...options,
    outfile,
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    target: 'node24',
    // Scripts beside the program need it, too (deploy/kubernetes), and it is loaded where a file is read or written.
    external: ['yaml'],
    legalComments: 'none',
    // Names stay, for stacks. The text is in memory while it runs, and one byte for each character is read quicker.
    minifyWhitespace: true,
    minifySyntax: true,
    charset: 'ascii',
    sourcemap: 'linked',
    sourcesContent: false,
    // Paths stay within the project, wherever node_modules really is.
    preserveSymlinks: true,
    metafile: true,
  });
  const map = JSON.parse(await readFile(`${outfile}.map`, 'utf8'));
  await writeFile(
    `${outfile}.map`,
    JSON.stringify(lineMap(map, (path) => /(?:^|\/)src\/[^?]*\.ts$/.test(path) && !path.includes('node_modules/'))),
  );
  return Object.keys(metafile.inputs);
}

/** A module of ours finds what lies beside it, though it has become a part of another file, and what it requires by itself becomes a part, too. */
function besideIn(out, assets) {
  return {
    name: 'beside',
    setup(builder) {
      builder.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, async ({ path }) => {
        const place = relative(out, join(assets, relative(SRC, path)));
        const address = `require('node:url').pathToFileURL(require('node:path').join(__dirname, ${JSON.stringify(place)})).href`;
        const code = (await readFile(path, 'utf8'))
          .replaceAll('createRequire(import.meta.url)(', 'require(')
          .replaceAll('import.meta.url', address);
        return { loader: 'ts', contents: code };
      });
    },
  };
}

async function licences(paths) {
  const packages = new Set(paths.flatMap((path) => PACKAGE.exec(path)?.[0] ?? []));
  const texts = [...packages].toSorted().map(async (path) => {
    const folder = join(ROOT, path);
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const { name, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    if (file === undefined && license === undefined) throw new Error(`${name} has no licence: it can not be a part of the program`);
    return `${name}\n\n${file === undefined ? `Licence: ${license}\n` : await readFile(join(folder, file), 'utf8')}`;
  });
  return (await Promise.all(texts)).join('\n----\n\n');
}
