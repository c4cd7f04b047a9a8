/**
 * A real Redis of its own for one test file: in a container where Docker answers, else the `redis-server` of the machine.
 * Nothing is persisted, so a restart gives an empty one; the port stays the same over restarts.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { GenericContainer, getContainerRuntimeClient, Wait } from 'testcontainers';
import { freePort } from '../../src/linker/free-port.ts';

/** Also the image of docker-compose.yml. */
const IMAGE = 'redis:7';
const READY_MESSAGE = 'Ready to accept connections';
const START_TIMEOUT_MS = 60_000;

export interface RedisServer {
  /** `redis://HOST:PORT` */
  readonly url: string;
  readonly port: number;
  /** Ends it and removes what it left. May be called twice. */
  stop(): Promise<void>;
  /** Freezes it: connections stay open and new ones are accepted by the kernel, but nothing is answered. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** SIGKILL: every connection breaks, all data is lost. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, empty, at the same port. */
  restart(): Promise<void>;
}

export interface RedisOptions {
  /** Further arguments of redis-server, for example `['--cluster-enabled', 'yes']`. */
  readonly args?: readonly string[];
  /** The machine's own redis-server, although Docker is there. */
  readonly isLocal?: boolean;
  /** Of that one. */
  readonly env?: Readonly<Record<string, string>>;
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--appendonly', 'no'];
  args.push('--enable-debug-command', 'yes', ...(options.args ?? []));
  if (options.isLocal === true) return startLocal(port, args, options.env);
  const refusal = await dockerRefusal();
  if (refusal === null) return startContainer(port, args);
  if (process.env.CI === 'true') throw new Error(`the tests need Docker, which does not answer: ${refusal}`);
  if (spawnSync('redis-server', ['--version']).status !== 0) {
    throw new Error(
      `the tests need Redis: start Docker, or install redis-server (Debian: apt-get install redis-server). Docker says: ${refusal}`,
    );
  }
  process.stderr.write(`Docker does not answer (${refusal}); using this machine's redis-server instead\n`);
  return startLocal(port, args);
}

/** Null when Docker answers, else why it does not. */
async function dockerRefusal(): Promise<string | null> {
  // Containers are removed by stop(); the watchdog container that would do it otherwise is one image more to have.
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
  try {
    await getContainerRuntimeClient();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function startContainer(port: number, args: readonly string[]): Promise<RedisServer> {
  const container = await new GenericContainer(IMAGE)
    .withCommand(['redis-server', ...args])
    .withExposedPorts({ container: port, host: port })
    .withLabels({ 'pullproxy.test': 'redis' })
    .withWaitStrategy(Wait.forLogMessage(READY_MESSAGE))
    .withStartupTimeout(START_TIMEOUT_MS)
    .start()
    .catch((error: unknown) => {
      throw new Error(`no container of ${IMAGE}; where it can't be pulled, "bash .ci/images.sh" makes it from Debian's packages`, {
        cause: error,
      });
    });
  const { container: runtime } = await getContainerRuntimeClient();
  const handle = runtime.getById(container.getId());
  await accepting(port);
  let stopped = false;
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    async stop() {
      if (stopped) return;
      stopped = true;
      await handle.remove({ force: true, v: true });
    },
    pause: () => handle.pause(),
    resume: () => handle.unpause(),
    kill: () => handle.kill(),
    async restart() {
      await handle.start();
      await accepting(port);
    },
  };
}

async function startLocal(port: number, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
  let child = await launch(args, env);
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop: kill,
    pause: async () => void child.kill('SIGSTOP'),
    resume: async () => void child.kill('SIGCONT'),
    kill,
    async restart() {
      child = await launch(args, env);
    },
  };
}

async function launch(args: readonly string[], env: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/tmp', env: { ...process.env, ...env } });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-10_000);
      if (output.includes(READY_MESSAGE)) resolve();
    });
  });
  return child;
}

/** Resolves when Redis answers a PING: Docker's own proxy accepts connections before Redis does. */
async function accepting(port: number): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await pinged(port))) {
    if (Date.now() > deadline) throw new Error(`Redis at port ${port} does not answer`);
  }
}

function pinged(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => setTimeout(end, 20, false));
    socket.once('close', () => setTimeout(end, 20, false));
    socket.setTimeout(500, () => end(false));
  });
}
