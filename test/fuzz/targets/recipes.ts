import assert from 'node:assert';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { type CommandValues, runCommand } from '../../../src/scaling/command.ts';
import { latin1, type Target } from '../target.ts';

const DEPLOY = fileURLToPath(new URL('../../../deploy', import.meta.url));

/** Each recipe as the README runs it, and the program of the scheduler that it ends in. */
const RECIPES: readonly { readonly argv: readonly string[]; readonly scheduler: string }[] = [
  { argv: ['deploy/recipes/kubernetes/start.sh', 'deploy/recipes/kubernetes/instance.yaml'], scheduler: 'kubectl' },
  { argv: ['deploy/recipes/nomad/start.sh', 'pullproxy-app'], scheduler: 'nomad' },
  { argv: ['deploy/recipes/docker/start.sh', 'image', 'node', 'server.js'], scheduler: 'docker' },
  { argv: ['deploy/recipes/systemd/run.sh', 'node', 'server.js'], scheduler: 'systemd-run' },
];
/** Asked beforehand whether the instance is there. It is not. */
const ABSENT = 'if [ "$1" = container ] || [ "$1" = --quiet ]; then exit 1; fi';

/** A folder in which the recipes work, with programs that write down what they are asked. */
class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'pullproxy-fuzz-recipes-'));
  readonly #things: readonly string[];

  constructor() {
    symlinkSync(DEPLOY, join(this.path, 'deploy'));
    mkdirSync(join(this.path, 'bin'));
    symlinkSync(process.execPath, join(this.path, 'bin/node'));
    for (const name of [...RECIPES.map(({ scheduler }) => scheduler), 'systemctl']) {
      const file = join(this.path, 'bin', name);
      const asked = `printf '%s\\0' "$@" >"${this.path}/${name}.args"\nif [ ${name} = kubectl ]; then cat >"${this.path}/manifest"; fi`;
      writeFileSync(file, `#!/bin/sh\n${ABSENT}\n${asked}\n`);
      chmodSync(file, 0o755);
    }
    writeFileSync(join(this.path, 'app.env'), '');
    this.#things = readdirSync(this.path).sort();
  }

  /** What the scheduler was asked; null: nothing. */
  args(scheduler: string): string[] | null {
    const file = join(this.path, `${scheduler}.args`);
    if (!existsSync(file)) return null;
    return readFileSync(file, 'utf8').split('\0').slice(0, -1);
  }

  manifest(): string {
    return readFileSync(join(this.path, 'manifest'), 'utf8');
  }

  /** Removes what was written down; what else there is was made by a command that nobody gave. */
  tidy(): void {
    for (const name of readdirSync(this.path)) if (name.endsWith('.args') || name === 'manifest') rmSync(join(this.path, name));
    assert.deepEqual(readdirSync(this.path).sort(), this.#things, 'nothing is made but what the recipe makes');
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** How the scheduler is asked for a harmless route, with the route's place in it. */
let patterns: Map<string, string> | null = null;
let folder: Folder | null = null;

async function start(place: Folder, argv: readonly string[], route: string, startId: string): Promise<boolean> {
  const values: CommandValues = { route, startId, desired: 1, count: 1, held: 1, ready: 0 };
  const env = { PATH: `${join(place.path, 'bin')}:${process.env.PATH ?? ''}`, PULLPROXY_ENV: join(place.path, 'app.env') };
  const script = ['sh', '-c', `cd "${place.path}" && exec "$@"`, 'sh', ...argv];
  const { exitCode } = await runCommand(script, values, { timeoutMs: 20_000, env, outputBytesMax: 1_000 });
  return exitCode === 0;
}

function assertManifest(text: string, route: string, startId: string): void {
  const documents = parseAllDocuments(text);
  assert.equal(documents.length, 1, 'one manifest');
  assert.equal(documents[0]?.errors.length, 0, 'a manifest that can be read');
  const job = documents[0]?.toJS() as Record<string, never>;
  const { kind, metadata, spec } = job as { kind?: string; metadata?: Record<string, never>; spec?: Record<string, never> };
  assert.equal(kind, 'Job');
  assert.equal(metadata?.name, `pullproxy-${startId}`, "the Job's name");
  const containers = (
    spec as { template?: { spec?: { containers?: { env?: { name: string; value?: string }[]; image?: string }[] } } } | undefined
  )?.template?.spec?.containers;
  assert.equal(containers?.length, 1, 'one container');
  assert.equal(containers?.[0]?.env?.find(({ name }) => name === 'PULLPROXY_ROUTE')?.value, route, 'the route is said as it is');
  assert.equal(containers?.[0]?.image, 'pullproxy');
}

async function patternsOf(place: Folder): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const { argv, scheduler } of RECIPES) {
    assert(await start(place, argv, 'harmless.test', 'harmlessid'), `${scheduler} is asked`);
    found.set(scheduler, JSON.stringify(place.args(scheduler)));
  }
  place.tidy();
  return found;
}

export const RECIPE_INPUTS: Target = {
  name: 'recipe-inputs',
  sources: ['/src/scaling/command.ts'],
  pace: 'sockets',
  lines: true,
  words: [
    ...[
      '/',
      ';touch F;',
      '#',
      '/e',
      's/',
      '&',
      '\\',
      '\\n',
      '---',
      '"',
      "'",
      '$(touch F)',
      '`touch F`',
      '$IFS',
      '*',
      '{route}',
      '{start_id}',
      ' ',
      '\r',
    ],
    ...[
      ': ',
      '- ',
      '[',
      '{',
      '!!',
      '%',
      '|',
      '>',
      '<',
      '--privileged',
      '-v/:/host',
      '=',
      ',',
      '\xe9',
      '__START_ID__',
      '__ROUTE__',
      'kind: Pod',
      '\\"',
    ],
  ],
  seeds: [
    'app.example.com\nabc123',
    '*.example.com\nabc123',
    '*\nabc123',
    'x/;e touch F #\nabc123',
    'x"\\nkind: Pod\nabc123',
    '--privileged\nabc123',
    'a&b\nabc123',
    "$(touch F)\n';touch F;'",
  ].map(latin1),
  async run(bytes) {
    folder ??= new Folder();
    patterns ??= await patternsOf(folder);
    const [route = '', startId = ''] = bytes.toString('latin1').split('\n');
    for (const { argv, scheduler } of RECIPES) {
      const asked = (await start(folder, argv, route, startId)) ? folder.args(scheduler) : null;
      if (asked === null) continue;
      // As one word stands where the harmless one stood, nothing was taken for anything else.
      const expected = JSON.parse(patterns.get(scheduler) as string) as string[];
      assert.deepEqual(
        asked,
        expected.map((word) => word.replaceAll('harmless.test', () => route).replaceAll('harmlessid', () => startId)),
        `${scheduler} is asked for something else`,
      );
      if (scheduler === 'kubectl') assertManifest(folder.manifest(), route, startId);
    }
    folder.tidy();
  },
  async restart() {
    folder?.remove();
    folder = null;
    patterns = null;
  },
};
