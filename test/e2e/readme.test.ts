/** The documents' commands: the cluster, step by step, is run as it stands; every other one is either run elsewhere or understood. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { readAction } from '../../src/cli/commands/route.ts';
import type { CommandSpec } from '../../src/config/command-spec.ts';
import { COMMANDS } from '../../src/config/commands/all.ts';
import { loadCommand } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';
import { freePort } from '../../src/linker/free-port.ts';
import { eventually } from '../support/eventually.ts';
import { ownDirectory } from '../support/processes.ts';
import { MAIN } from '../support/program-path.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DOCUMENTS = ['README.md', 'deploy/README.md', 'deploy/reference.md', 'test/bench/README.md', 'src/README.md'];
const text = DOCUMENTS.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
const { version, scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
  scripts: Record<string, string>;
};

/** Blocks that are no part of the story: each line with the file that runs the same, and what stands there. */
const ELSEWHERE: Readonly<Record<string, readonly [file: string, text: string]>> = {
  'npm ci': ['.ci/run', 'npm ci'],
  'npm start': ['package.json', 'deploy/examples/demo-app.mjs'],
  'npm test': ['.ci/run', 'npm test'],
  'npm run check': ['.ci/run', 'npm run check'],
  'curl http://127.0.0.1:8080/': ['test/e2e/package.test.ts', 'brings an application to a client'],
  'npx node src/cli/main.ts dev --concurrency 1 --max-instances 4 -- python3 app.py': ['test/e2e/dev.test.ts', "startProcess(['dev'"],
  'curl --unix-socket "$PULLPROXY_CONTROL" --request PUT --data 8 http://control/concurrency': [
    'deploy/examples/limits/take.sh',
    '--unix-socket "$PULLPROXY_CONTROL" --request PUT --data',
  ],
  'docker compose up --build': ['test/e2e/compose.test.ts', "'up', '--detach', '--build'"],
  'docker create --name wiki --label pullproxy.route=wiki.example.com --label pullproxy.port=3000 my-wiki': [
    'test/support/docker.ts',
    "docker('create', '--name', name, '--label'",
  ],
  'docker run --detach --name pullproxy --network home --publish 80:8080 --restart unless-stopped --volume /var/run/docker.sock:/var/run/docker.sock --group-add "$(stat -c %g /var/run/docker.sock)" pullproxy node --discover docker':
    ['test/e2e/image.test.ts', "'--volume', `"],
  'mkdir ../cluster': ['test/e2e/package.test.ts', 'mkdirSync(project())'],
  'npm pack --silent --pack-destination ../cluster': ['test/e2e/package.test.ts', "['pack', '--json'"],
  'cd ../cluster': ['test/e2e/package.test.ts', 'cwd: project()'],
  [`npm install ./pullproxy-${version}.tgz node@24`]: ['test/e2e/package.test.ts', "['install', ...quiet"],
  'export PATH="$PWD/node_modules/.bin:$PATH"': ['test/e2e/package.test.ts', "project('node_modules/.bin/pullproxy')"],
  'docker build -f deploy/Dockerfile -t pullproxy .': ['test/e2e/image.test.ts', "'--file', 'deploy/Dockerfile', '--tag', IMAGE"],
  'helm install pullproxy deploy/kubernetes/chart --namespace pullproxy --create-namespace': [
    'test/support/chart.ts',
    "['template', 'pullproxy', CHART, '--namespace', 'pullproxy'",
  ],
  'kubectl apply -f deploy/kubernetes/manifests/': ['test/integration/deploy/kubernetes.test.ts', 'deploy/kubernetes/manifests'],
  'secret=$(openssl rand -hex 24)': ['deploy/kubernetes/manifests/instance.yaml', 'key: secret'],
  'kubectl --namespace pullproxy create secret generic pullproxy --from-literal=secret="$secret" --from-literal=admin-token="$(openssl rand -hex 24)" --from-literal=redis-password="$(openssl rand -hex 24)"':
    ['deploy/kubernetes/manifests/nodes.yaml', 'key: admin-token'],
  'kubectl --namespace pullproxy-instances create secret generic pullproxy --from-literal=secret="$secret"': [
    'deploy/kubernetes/manifests/instance.yaml',
    'key: secret',
  ],
  'source <(pullproxy completion bash)': ['test/integration/cli/completion/completion.test.ts', 'bash'],
};

interface Block {
  readonly section: string;
  readonly lines: readonly string[];
}

/** Fenced as `sh`, or indented by four. */
function blocks(): Block[] {
  const found: { section: string; lines: string[] }[] = [];
  let section = '';
  let kind: 'none' | 'sh' | 'other' | 'indented' = 'none';
  for (const line of text.split('\n')) {
    const fence = /^```(\w*)/.exec(line);
    if (kind === 'sh' || kind === 'other') {
      if (fence) kind = 'none';
      else if (kind === 'sh') found.at(-1)?.lines.push(line);
    } else if (fence) {
      kind = fence[1] === 'sh' ? 'sh' : 'other';
      if (kind === 'sh') found.push({ section, lines: [] });
    } else if (line.startsWith('    ')) {
      if (kind !== 'indented') found.push({ section, lines: [] });
      kind = 'indented';
      found.at(-1)?.lines.push(line.slice(4));
    } else {
      kind = 'none';
      section = /^#+ (.*)/.exec(line)?.[1] ?? section;
    }
  }
  return found;
}

const all = blocks();
const [, ...story] = all.filter(({ section }) => section === 'A cluster on one machine, step by step');
const others = all
  .filter((block) => !story.includes(block))
  .flatMap(({ lines }) =>
    lines
      .join('\n')
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.replace(/\s+# .*$/, '').trim())
      .filter(Boolean),
  );

describe('a command in the documents', () => {
  test.each(others.map((line) => ({ line })))('is run by a test, or understood: $line', async ({ line }) => {
    const elsewhere = ELSEWHERE[line];
    if (elsewhere !== undefined) return expect(readFileSync(join(ROOT, elsewhere[0]), 'utf8')).toContain(elsewhere[1]);
    const script = /^npm run (\S+)/.exec(line)?.[1];
    if (script !== undefined) return expect(scripts).toHaveProperty([script]);
    await understood(line);
  });

  test('in the table of recipes, too, is understood', async () => {
    const inline = [...text.matchAll(/`(pullproxy (?:scaler|node|linker) [^`]*)`/g)].map(([, line]) => line ?? '');
    expect(inline.length).toBeGreaterThan(4);
    for (const line of inline) await understood(line);
  });

  test('that there is not would be noticed', async () => {
    await expect(understood('pullproxy scaler --rat 1/1s -- true')).rejects.toThrow();
    await expect(understood('pullproxies node')).rejects.toThrow();
  });
});

// A scaler that discovers in Kubernetes runs in a Pod.
Object.assign(process.env, { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443', POD_NAMESPACE: 'apps' });

/** Rejects when pullproxy would refuse it. */
async function understood(line: string): Promise<void> {
  const [program, name = '', ...argv] = line.split(/\s+/).map((word) => word.replaceAll(/['"]/g, ''));
  const spec = COMMANDS.find((one) => one.name === name);
  if (program !== 'pullproxy' || spec === undefined) throw new Error(`a document says "${line}", which no test runs`);
  const loaded = await loadCommand(spec as CommandSpec<Settings>, argv, {});
  if (name === 'route') readAction(loaded?.operands ?? []);
}

/** A shell that is given one block after the other. */
class Shell {
  readonly #bash: ChildProcess;
  output = '';

  constructor(cwd: string, path: string) {
    const env = { PATH: path, HOME: cwd };
    this.#bash = spawn('bash', [], { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.#bash.stdout, this.#bash.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.#bash.stdin?.write('set -e\n');
  }

  /** Resolves with what the block wrote; a command of it that fails ends the shell. */
  async run(lines: readonly string[]): Promise<string> {
    const from = this.output.length;
    this.#bash.stdin?.write(`${lines.join('\n')}\necho "== over"\n`);
    await eventually(`over: ${lines.join('\n')}`, () => this.#over(from), 90_000).catch((error: unknown) => {
      throw new Error(this.output, { cause: error });
    });
    return this.output.slice(from);
  }

  #over(from: number): boolean {
    if (this.output.includes('== over\n', from)) return true;
    if (this.#bash.exitCode !== null) throw new Error(`ended with ${this.#bash.exitCode}`);
    return false;
  }
}

test('the cluster, step by step: up, an application from zero, a crowd, a node that dies', async () => {
  const folder = ownDirectory();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules/pullproxy'));
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin/pullproxy'), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
  chmodSync(join(folder, 'bin/pullproxy'), 0o755);
  const ports = new Map<string, number>();
  for (const port of ['6379', '8081', '8082', '9081', '9082', '9091', '9092']) ports.set(port, await freePort());
  const shell = new Shell(folder, `${join(folder, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`);
  const steps = story.map(({ lines }) => lines.map((line) => line.replaceAll(/\b\d{4}\b/g, (port) => String(ports.get(port) ?? port))));
  const admin = `http://127.0.0.1:${ports.get('9092')}`;
  const state = async () => (await (await fetch(`${admin}/api/v1/state`)).json()) as { nodes: { id: string }[] };
  expect(steps).toHaveLength(6);

  const [nodes = [], scaler = [], fromZero = [], crowd = [], death = [], end = []] = steps;
  await shell.run(nodes);
  await shell.run(scaler);
  const first = await shell.run(fromZero);
  expect(first.match(/"pid":\d+/g)).toHaveLength(2);
  expect(first).toMatch(/app\.example\.com/);
  const answers = await shell.run(crowd);
  expect(answers.match(/"pid":\d+/g)).toHaveLength(120);
  expect(new Set(answers.match(/"pid":\d+/g)).size).toBeGreaterThan(1);
  expect((await shell.run(death)).match(/"pid":\d+/g)).toHaveLength(1);
  await eventually('a is gone', async () => (await state()).nodes.map(({ id }) => id).join() === 'b');
  await shell.run(end);
});
