/**
 * Puts the program into few files: reading some 280 modules, and packages' on top, is most of the processor time that a process takes to start.
 *
 * main.cjs is what is started, linker.cjs a linker with what a linker needs and nothing else, program.cjs all other commands, yaml.cjs what reads and writes YAML.
 * CommonJS, because the loader of ES modules costs more, and because an import of Node's own modules evaluates every export of theirs, such as node:http's WebSocket.
 * The licences of the packages in them stand beside them, and so do source maps of our own code.
 */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { build } from 'esbuild';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');
/** What a linker may have in it. */
const LINKER_ROOMS = ['cli', 'config', 'link', 'linker', 'memory'];
const LINKER_LEAN = { assert: './.config/lean/assert.cjs', worker_threads: './.config/lean/worker-threads.cjs' };
/** A map of nothing: packages are not in the source map. */
const NO_MAP = `\n//# sourceMappingURL=data:application/json;base64,${btoa('{"version":3,"sources":[""],"mappings":"A"}')}`;

/** `out`: the directory for the files. `assets`: where scripts of Redis and the dashboard's files are, laid out as in src. */
export async function bundle(out, assets) {
  await mkdir(out, { recursive: true });
  const own = [addressesOf(out, assets), yamlBeside(), withoutMaps()];
  const inputs = [
    ...(await bundleOne(out, 'yaml', { stdin: { contents: `export { parseDocument, stringify } from 'yaml';`, resolveDir: ROOT } })),
    ...(await bundleOne(out, 'program', { entryPoints: [join(SRC, 'cli/main.ts')], plugins: own })),
  ];
  // Of the packages' imports.
  const linker = await bundleOne(out, 'linker', { entryPoints: [join(SRC, 'cli/linker-bundle.ts')], plugins: own, alias: LINKER_LEAN });
  const rooms = new Set(linker.flatMap((path) => /^src\/([^/]+)\//.exec(path)?.[1] ?? []));
  const foreign = [...rooms].filter((room) => !LINKER_ROOMS.includes(room));
  if (foreign.length > 0)
    throw new Error(`the linker's file has src/${foreign.join(', src/')} in it: a linker needs ${LINKER_ROOMS.join(', ')} alone`);
  await cp(join(import.meta.dirname, 'main.cjs'), join(out, 'main.cjs'));
  await writeFile(join(out, 'linker.licences.txt'), await licences(linker));
  await writeFile(join(out, 'licences.txt'), await licences([...inputs, ...linker]));
}

/** The paths of what is in it. */
async function bundleOne(out, name, options) {
  const { metafile } = await build({
    ...options,
    outfile: join(out, `${name}.cjs`),
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    legalComments: 'none',
    // Names stay, for stacks. The text is in memory while it runs, and is read quicker where every character is one byte.
    minifyWhitespace: true,
    minifySyntax: true,
    charset: 'ascii',
    sourcemap: 'linked',
    sourcesContent: false,
    // Paths stay within the project, wherever node_modules really is.
    preserveSymlinks: true,
    metafile: true,
  });
  return Object.keys(metafile.inputs);
}

/** A module of ours finds the files that lie beside it, though it has become a part of another file. */
function addressesOf(out, assets) {
  return {
    name: 'addresses',
    setup(builder) {
      builder.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, async ({ path }) => {
        const place = relative(out, join(assets, relative(SRC, path)));
        const here = `require('node:url').pathToFileURL(require('node:path').join(__dirname, ${JSON.stringify(place)})).href`;
        return { loader: 'ts', contents: (await readFile(path, 'utf8')).replaceAll('import.meta.url', here) };
      });
    },
  };
}

/** It is large, and loaded where a file is read or written. */
function yamlBeside() {
  return {
    name: 'yaml',
    setup(builder) {
      builder.onResolve({ filter: /^yaml$/ }, () => ({ path: './yaml.cjs', external: true }));
    },
  };
}

function withoutMaps() {
  return {
    name: 'no maps of packages',
    setup(builder) {
      builder.onLoad({ filter: /[\\/]node_modules[\\/].*\.[cm]?js$/ }, async ({ path }) => ({
        loader: 'js',
        contents: (await readFile(path, 'utf8')).replace(/\n\/\/# sourceMappingURL=.*\s*$/, '') + NO_MAP,
      }));
    },
  };
}

async function licences(paths) {
  const packages = new Set(paths.flatMap((path) => /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[0].slice(0, -1) ?? []));
  const texts = [...packages].toSorted().map(async (folder) => {
    const file = (await readdir(join(ROOT, folder))).find((entry) => /^licen[cs]e/i.test(entry));
    const { name, license } = JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8'));
    if (file === undefined && license === undefined) throw new Error(`${name} has no licence: it can not be a part of the program`);
    return `${name}\n\n${file === undefined ? `Licence: ${license}\n` : await readFile(join(ROOT, folder, file), 'utf8')}`;
  });
  return (await Promise.all(texts)).join('\n----\n\n');
}
