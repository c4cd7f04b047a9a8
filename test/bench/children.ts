import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The code that is measured: this one. */
const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

/** The processes of one benchmark run; all of them end with it. */
export class Children {
  readonly #children: ChildProcess[] = [];

  start(command: string, args: readonly string[], options: { env?: NodeJS.ProcessEnv; cwd?: string } = {}): ChildProcess {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options });
    child.once('error', (error) => {
      throw new Error(`can't start ${command}: ${error.message}`);
    });
    this.#children.push(child);
    return child;
  }

  /** Starts one of pullproxy's commands and waits for its ready line; `flags` are Node's, `under` is a program that runs Node, `checkout` has the code. */
  async pullproxy(
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
    flags: readonly string[] = [],
    under: readonly string[] = [],
    checkout = CHECKOUT,
  ): Promise<{ child: ChildProcess; ready: Record<string, unknown> }> {
    const main = join(checkout, 'src/cli/main.ts');
    const [command = '', ...rest] = [...under, process.execPath, ...flags, main, ...args];
    const child = this.start(command, rest, { env: { ...process.env, ...env } });
    let text = '';
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      text += chunk.toString();
      for (const line of text.split('\n')) {
        if (!line.includes('"msg":"ready"')) continue;
        (child.stdout as NodeJS.ReadableStream).on('data', () => {});
        return { child, ready: JSON.parse(line) as Record<string, unknown> };
      }
    }
    throw new Error(`pullproxy ${args[0] ?? ''} ended before it was ready:\n${text}`);
  }

  async stopAll(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
        await once(child, 'exit');
        clearTimeout(timer);
      }),
    );
  }
}

export async function accepts(port: number): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const socket = connect(port, '127.0.0.1');
    const up = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nothing accepts on port ${port}`);
}

/** Resident set of a process in bytes. */
export function rss(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1]) * 1_024;
}
