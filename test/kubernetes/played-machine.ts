/**
 * What no API server does: a machine that runs the Jobs of a namespace, each as the process that its template names, and says in their status what
 * has come of them. It also removes what has ended, as the controllers of Kubernetes do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Manifest } from '../support/kubernetes-manifests.ts';
import { ownDirectory } from '../support/processes.ts';
import type { ControlPlane } from './control-plane.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = join(ROOT, 'src/cli/main.ts');
const LOOK_MS = 200;
const STOP_MS_MAX = 60_000;

export class PlayedMachine {
  readonly #plane: ControlPlane;
  readonly #jobs: string;
  /** Beside the environment of the template. */
  readonly #env: Readonly<Record<string, string>>;
  readonly #running = new Map<string, ChildProcess>();
  readonly #seen = new Set<string>();
  readonly #ended = new Map<string, number | null>();
  readonly #stopping = new AbortController();
  #done: Promise<void> = Promise.resolve();
  /** Otherwise no image can be pulled: Jobs stay without a running Pod. */
  canPull = true;
  /** How its processes ended. */
  readonly exitCodes: (number | null)[] = [];

  constructor(plane: ControlPlane, namespace: string, env: Readonly<Record<string, string>>) {
    this.#plane = plane;
    this.#jobs = `/apis/batch/v1/namespaces/${namespace}/jobs`;
    this.#env = env;
  }

  start(): void {
    this.#done = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
    await Promise.all([...this.#running.values()].map((child) => end(child)));
  }

  /** Jobs that are there, whatever has come of them. */
  async jobs(): Promise<Manifest[]> {
    const { status, body } = await this.#plane.ask('GET', this.#jobs);
    if (status !== 200) throw new Error(`the Jobs could not be read: ${status}`);
    return body.items as Manifest[];
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // While the API is away a machine goes on with what it has.
      await this.jobs().then(
        (jobs) => this.#look(jobs),
        () => undefined,
      );
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(jobs: readonly Manifest[]): Promise<void> {
    const there = new Set(jobs.map(({ metadata }) => metadata.name));
    for (const [name, child] of this.#running) if (!there.has(name)) child.kill('SIGTERM');
    for (const job of jobs) {
      const { name } = job.metadata;
      const code = this.#ended.get(name);
      if (code !== undefined) await this.#remove(name, code);
      if (this.#seen.has(name) || !this.canPull) continue;
      this.#seen.add(name);
      await this.#say(name, { active: 1 });
      this.#run(job);
    }
  }

  #run({ metadata, spec }: Manifest): void {
    const [container] = spec.template.spec.containers;
    const said = (container.env as { name: string; value?: string }[]).flatMap(({ name, value }) => (value ? [[name, value]] : []));
    const args = (container.args as string[]).map((word) => (word.startsWith('deploy/') ? join(ROOT, word) : word));
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...Object.fromEntries(said), ...this.#env };
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: ownDirectory(), env, stdio: 'ignore' });
    this.#running.set(metadata.name, child);
    child.once('exit', (code) => {
      this.#running.delete(metadata.name);
      this.exitCodes.push(code);
      this.#ended.set(metadata.name, code);
    });
  }

  async #remove(name: string, code: number | null): Promise<void> {
    await this.#say(name, { active: 0, ...(code === 0 ? { succeeded: 1 } : { failed: 1 }) });
    await this.#plane.ask('DELETE', `${this.#jobs}/${name}?propagationPolicy=Background`);
  }

  async #say(name: string, status: object): Promise<void> {
    await this.#plane.ask('PATCH', `${this.#jobs}/${name}/status`, { status });
  }
}

async function end(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const overdue = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await gone;
  clearTimeout(overdue);
}
