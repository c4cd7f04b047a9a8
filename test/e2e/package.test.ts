/** The package as npm would publish it: what is in it, and that it installs into an empty project and runs there. */
import { type ExecFileSyncOptionsWithStringEncoding, execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload, type SourceMapping } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ask } from '../support/clients.ts';
import { runCommand, startProcess } from '../support/processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PACKED_BYTES_MAX = 1_800_000;
/** With what it depends on. */
const INSTALLED_BYTES_MAX = 10_000_000;
const INSTALL_TIMEOUT_MS = 300_000;
/** The Node that runs the tests comes first, as it would on a machine that has the one that the package asks for. */
const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;

/** nanoid and pino with what pino logs by. */
const LINKER_PACKAGES = [
  '@pinojs/redact',
  'atomic-sleep',
  'nanoid',
  'on-exit-leak-free',
  'pino',
  'pino-std-serializers',
  'quick-format-unescaped',
  'safe-stable-stringify',
  'sonic-boom',
  'thread-stream',
];

interface Packed {
  readonly version: string;
  readonly size: number;
  readonly filename: string;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

let folder: string;
let packed: Packed;

const project = (...path: string[]): string => join(folder, 'project', ...path);
const installed = (...path: string[]): string => project('node_modules/pullproxy', ...path);
const readJson = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T;
const { version, engines } = readJson<{ version: string; engines: { node: string } }>(join(ROOT, 'package.json'));

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-package-'));
  // A copy, so that the build does not take dist/ away from others.
  const copy = join(folder, 'copy');
  for (const name of ['package.json', 'tsconfig.json', '.config', 'src', 'deploy', 'LICENSE', 'README.md', 'CHANGELOG.md']) {
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  mkdirSync(project());
  writeFileSync(project('package.json'), '{ "name": "project", "private": true }');
  const options: ExecFileSyncOptionsWithStringEncoding = {
    encoding: 'utf8',
    env: { ...process.env, PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  };
  const [first] = JSON.parse(execFileSync('npm', ['pack', '--json', '--silent'], { ...options, cwd: copy })) as Packed[];
  if (first === undefined) throw new Error('npm pack packed nothing');
  packed = first;
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  execFileSync('npm', ['install', ...quiet, join(copy, packed.filename)], { ...options, cwd: project() });
}, INSTALL_TIMEOUT_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the package', () => {
  test('holds the program in few files, what lies beside it, what deploy offers, and four files about it', () => {
    const bundles = ['cli/linker.cjs', 'cli/program.cjs', 'pull/pull.js'].flatMap((path) => [
      `dist/${path}`,
      `dist/${path}.map`,
      `dist/${path.replace(/\.\w+$/, '.licences.txt')}`,
    ]);
    const beside = filesBelow('src').filter((path) => /\/scripts\/|\/dashboard\//.test(path));
    const charts = ['uPlot.iife.min.js', 'uPlot.min.css'].map((path) => `admin/dashboard/${path}`);
    const others = [
      'cli/main.cjs',
      'cli/young-generation.cjs',
      'cli/young-generation.cjs.map',
      'pull/handler.d.ts',
      'pull/pull.d.ts',
      ...beside,
      ...charts,
    ];
    const built = [...bundles, ...others.map((path) => `dist/${path}`)];
    const deploy = filesBelow('deploy').map((path) => `deploy/${path}`);
    const about = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md'];
    expect(packed.files.map(({ path }) => path).toSorted()).toEqual([...built, ...deploy, ...about].toSorted());
    expect(packed.size).toBeLessThan(PACKED_BYTES_MAX);
    expect(bytesBelow(project('node_modules'))).toBeLessThan(INSTALLED_BYTES_MAX);
  });

  test('brings no package but one: all others are a part of it', () => {
    expect(readdirSync(project('node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['pullproxy', 'yaml']);
  });

  test('says of our code in which file and line of the source it stands', () => {
    for (const [path, source] of [
      ['dist/cli/program.cjs', 'src/node/matching/dispatch.ts'],
      ['dist/cli/linker.cjs', 'src/linker/slots.ts'],
      ['dist/pull/pull.js', 'src/pull/pull.ts'],
    ] as const) {
      const written = readFileSync(join(ROOT, source), 'utf8').split('\n');
      const found = new SourceMap(readJson<SourceMapPayload>(installed(`${path}.map`)));
      const inFile = readFileSync(installed(path), 'utf8').split('\n');
      const name = /export (?:async )?(?:class|function) (\w+)/.exec(written.join('\n'))?.[1] ?? '';
      const declaration = new RegExp(`(?:class|function) ${name}\\b|\\b${name} ?= ?class`);
      const line = inFile.findIndex((text) => declaration.test(text));
      const entry = found.findEntry(line, inFile[line]?.search(declaration) ?? 0) as SourceMapping;
      expect([path, entry.originalSource, written[entry.originalLine]]).toEqual([
        path,
        expect.stringMatching(`${source}$`),
        expect.stringContaining(name),
      ]);
    }
  });

  test('names no path of the machine that it was built on', () => {
    const naming = packed.files.filter(({ path }) => {
      const content = readFileSync(installed(path), 'utf8');
      return content.includes(folder) || content.includes(ROOT);
    });
    expect(naming).toEqual([]);
  });

  test('has the linker in one file, with no more than a linker needs, and the licences of what is in it', () => {
    const licences = readFileSync(installed('dist/cli/linker.licences.txt'), 'utf8');
    expect(licences.split('\n----\n\n').map((licence) => licence.split('\n', 1)[0])).toEqual(LINKER_PACKAGES);
    for (const name of LINKER_PACKAGES) expect(licences).toMatch(new RegExp(`^${name}\n\n.*Licen[cs]e`, 'ims'));
  });

  test('has a linker that loads no module of Node which it may never need', () => {
    const late = ['assert', 'dns/promises', 'fs/promises', 'http', 'tls', 'worker_threads', 'internal/crypto/webcrypto'];
    const said = `process.on('exit', () => console.error(JSON.stringify(process.moduleLoadList)))`;
    const args = [
      '--require',
      installed('said.cjs'),
      installed('dist/cli/linker.cjs'),
      'linker',
      '--proxy',
      '127.0.0.1:1',
      '--route',
      'app',
    ];
    writeFileSync(installed('said.cjs'), said);
    const { stderr } = spawnSync(process.execPath, [...args, '--', 'node', '--eval', '0'], {
      encoding: 'utf8',
      env: { PATH, PULLPROXY_SECRET: 'a secret for tests' },
    });
    const loaded = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as string[];
    expect(loaded).toContain('NativeModule net');
    expect(late.filter((name) => loaded.includes(`NativeModule ${name}`))).toEqual([]);
  });

  test('keeps its scripts executable', () => {
    const scripts = packed.files.filter(({ path }) => path.endsWith('.sh'));
    expect(scripts.length).toBeGreaterThan(0);
    expect(scripts.filter(({ path }) => (statSync(installed(path)).mode & 0o111) === 0)).toEqual([]);
  });
});

describe('installed into an empty project', () => {
  test('says its version, the same everywhere', async () => {
    const npx = spawnSync('npx', ['--no-install', 'pullproxy', '--version'], {
      cwd: project(),
      env: { ...process.env, PATH },
      encoding: 'utf8',
    });
    expect([npx.stderr, npx.stdout]).toEqual(['', `${version}\n`]);
    const lock = readJson<{ version: string; packages: Record<string, { version: string }> }>(join(ROOT, 'package-lock.json'));
    expect([packed.version, lock.version, lock.packages['']?.version]).toEqual([version, version, version]);
    expect(/^## (?!Unreleased)(\S+)/m.exec(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'))?.[1]).toBe(version);
  });

  test('brings an application to a client, and shows it', async () => {
    const main = project('node_modules/.bin/pullproxy');
    const app = ['node', installed('deploy/examples/demo-app.mjs')];
    const listen = ['--listen', 'http://127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const dev = await startProcess(['dev', ...listen, '--', ...app], { main, env: { PATH } });
    const { listen: bound, admin } = dev.ready as { listen: string[]; admin: string };
    const { status, body } = await ask(bound[0] as string, { host: 'app.example.com' });
    expect([status, body.includes('Hello from instance')]).toEqual([200, true]);

    const state = (await (await fetch(`http://${admin}/api/v1/state`)).json()) as { version: string; nodes: { version: string }[] };
    const openapi = (await (await fetch(`http://${admin}/api/v1/openapi.json`)).json()) as { info: { version: string } };
    expect([state.version, state.nodes[0]?.version, openapi.info.version]).toEqual([version, version, version]);
    const page = await (await fetch(`http://${admin}/`)).text();
    const parts = [...page.matchAll(/(?:src|href)="(?!data:|https?:|#)([^"]+\.(?:js|css|svg))"/g)].map(([, path]) => path ?? '');
    expect(parts.length).toBeGreaterThan(2);
    for (const path of parts) expect([path, (await fetch(new URL(path, `http://${admin}/`))).status]).toEqual([path, 200]);
    expect(await dev.stop()).toEqual({ code: 0, signal: null });
  });

  test('starts a linker that needs nothing of the package but its one file', async () => {
    const bundle = readFileSync(installed('dist/cli/linker.cjs'));
    mkdirSync(join(folder, 'alone/dist/cli'), { recursive: true });
    writeFileSync(join(folder, 'alone/dist/cli/linker.cjs'), bundle);
    writeFileSync(join(folder, 'alone/package.json'), JSON.stringify({ version }));
    const main = project('node_modules/.bin/pullproxy');
    const node = await startProcess(['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'], {
      main,
      env: { PATH },
    });
    const { listen: bound, backend, admin } = node.ready as { listen: string[]; backend: string; admin: string };
    await fetch(`http://${admin}/api/v1/routes/app`, { method: 'PUT', body: '{}', headers: { 'content-type': 'application/json' } });
    for (const from of [join(folder, 'alone/dist/cli/linker.cjs'), main]) {
      const app = ['node', installed('deploy/examples/demo-app.mjs')];
      const linker = await startProcess(['linker', '--proxy', backend, '--route', 'app', '--', ...app], { main: from, env: { PATH } });
      const { status, body } = await ask(bound[0] as string, { host: 'app' });
      expect([status, body.includes('Hello from instance')]).toEqual([200, true]);
      expect(await linker.stop()).toEqual({ code: 0, signal: null });
    }
    expect(await node.stop()).toEqual({ code: 0, signal: null });
  });

  test('exports pull, with its types, and importing it does nothing', () => {
    const options: ExecFileSyncOptionsWithStringEncoding = { cwd: project(), env: { ...process.env, PATH }, encoding: 'utf8' };
    // It ends by itself: nothing that was begun holds it.
    const script = `const before = process.eventNames().length; const all = await import('pullproxy'); console.log(Object.keys(all).join(), process.eventNames().length - before);`;
    expect(execFileSync('node', ['--input-type=module', '--eval', script], options)).toBe('Instance,pull 0\n');
    const use = `import { type Instance, pull } from 'pullproxy';
const instance: Instance = await pull((_request, response) => response.end('hello'), { proxy: ['a:1', 'b:2'], route: 'r', concurrency: 'auto:2-9' });
const left: Promise<void> = instance.leave();
instance.on('newest', (isNewest: boolean) => void isNewest);
await pull((request: Request) => new Response(request.url), { proxy: 'a:1', route: 'r' });
// @ts-expect-error
instance.concurrency = 'many';
// @ts-expect-error
await pull(() => {}, { prox: 'a:1' });
export { left };
`;
    writeFileSync(project('use.mts'), use);
    const types = ['--typeRoots', join(ROOT, 'node_modules/@types'), '--types', 'node'];
    const flags = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2024', '--module', 'nodenext', ...types, 'use.mts'];
    expect(spawnSync('node', [join(ROOT, 'node_modules/typescript/bin/tsc'), ...flags], options).stdout).toBe('');
  });

  test('says on an older Node which one it needs', async () => {
    const older = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.19.1'}})`;
    const env = { PATH, NODE_OPTIONS: `--import=${older}` };
    const { code, stderr } = await runCommand(['dev', '--', 'true'], { main: installed('dist/cli/main.cjs'), env });
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining(`this is Node 20.19.1: expected Node ${/\d+/.exec(engines.node)?.[0]} or newer`),
    ]);
  });
});

function filesBelow(directory: string): string[] {
  const top = join(folder, 'copy');
  const entries = readdirSync(join(top, directory), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => relative(join(top, directory), join(parentPath, name)));
}

function bytesBelow(directory: string): number {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}
