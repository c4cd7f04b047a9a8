/** Recipes pass the key of a start on to its linker, each to a scheduler that writes down what it is asked. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { runCommand } from '../../../src/scaling/command.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const RECIPES = join(ROOT, 'deploy/recipes');
const TEMPLATE = join(RECIPES, 'kubernetes/instance.yaml');
/** What says the key in the words for each scheduler. */
const SCHEDULERS = [
  ['docker', ['docker/start.sh', 'image', 'node', 'server.js'], ['--label', 'pullproxy.key=Feature_1', '--env', 'PULLPROXY_KEY=Feature_1']],
  ['docker', ['swarm/start.sh', 'image', 'node', 'server.js'], ['--label', 'pullproxy.key=Feature_1', '--env', 'PULLPROXY_KEY=Feature_1']],
  [
    'nomad',
    ['nomad/start.sh', 'pullproxy-app'],
    ['-meta', 'key=Feature_1', '-meta', expect.stringMatching(/^slug=app-test-feature-1-[a-z2-7]{12}$/)],
  ],
  ['systemd-run', ['systemd/run.sh', 'node', 'server.js'], ['--setenv=PULLPROXY_KEY=Feature_1']],
] as const;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pullproxy-recipe-'));
  mkdirSync(join(folder, 'bin'));
  symlinkSync(process.execPath, join(folder, 'bin/node'));
  writeFileSync(join(folder, 'app.env'), '');
  for (const name of ['docker', 'nomad', 'systemctl', 'systemd-run', 'kubectl']) {
    // Asked whether the instance is there, it says no.
    const script = `case "$2 $1" in inspect*|*--quiet) exit 1 ;; esac
printf '%s\\n' "$@" > "${folder}/asked"
if [ ${name} = kubectl ]; then cat > "${folder}/manifest"; fi`;
    writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, 'bin', name), 0o755);
  }
});
afterEach(() => rmSync(folder, { recursive: true }));

async function start([script, ...args]: readonly string[], route: string): Promise<string[]> {
  const env = { PATH: `${join(folder, 'bin')}:${process.env.PATH ?? ''}`, PULLPROXY_ENV: join(folder, 'app.env') };
  const values = { route, startId: 'abc123', desired: 1, count: 1, held: 1, ready: 0 };
  const { exitCode, output } = await runCommand([join(RECIPES, script ?? ''), ...args], values, {
    timeoutMs: 20_000,
    env,
    outputBytesMax: 2_000,
  });
  if (exitCode !== 0 || !existsSync(join(folder, 'asked'))) throw new Error(`it ended with ${exitCode}: ${output}`);
  return readFileSync(join(folder, 'asked'), 'utf8').split('\n').slice(0, -1);
}

describe.each(SCHEDULERS)('%s', (_scheduler, argv, said) => {
  test(`${argv[0]} says the key, and without one nothing of it`, async () => {
    const keyed = await start(argv, 'app.test~Feature_1');
    const without = await start(argv, 'app.test');
    expect(without.join(' ')).not.toMatch(/key/i);
    const described = keyed.map((word) => word.replace(', key Feature_1', ''));
    const added = described.filter((word) => !without.includes(word));
    const named = said.filter((word) => typeof word !== 'string' || !['--label', '--env', '-meta'].includes(word));
    expect(added).toEqual(named);
    expect(described.length - without.length).toBe(said.length);
  });
});

interface Said {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations: Record<string, string> };
  readonly spec: { template: { spec: { containers: [{ env: { name: string; value?: string }[] }] } } };
}

describe('the Job of Kubernetes', () => {
  const manifest = async (route: string): Promise<Said> => {
    await start(['kubernetes/start.sh', TEMPLATE], route);
    return JSON.parse(readFileSync(join(folder, 'manifest'), 'utf8')) as Said;
  };

  test.each([
    ['app.test~Feature_1', 'Feature_1', /^app-test-feature-1-[a-z2-7]{12}$/],
    ['app.test', '', /^app-test-[a-z2-7]{12}$/],
  ])('of %s says the key %j to its linker, and route and key in a label', async (route, key, slug) => {
    const { metadata, spec } = await manifest(route);
    expect(metadata.annotations).toEqual({ 'pullproxy/route': 'app.test', 'pullproxy/key': key });
    expect(metadata.labels['pullproxy/slug']).toMatch(slug);
    const [{ env }] = spec.template.spec.containers;
    expect(env.find(({ name }) => name === 'PULLPROXY_KEY')?.value).toBe(key);
  });
});
