/** Nodes that break one rule each: the node of this package with other text in its place. Each is one file and a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BuildContext, context, type Plugin } from 'esbuild';
import type { NodeSettings } from './linker-side.ts';
import type { RuleId } from './rules.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ROUTE = 'conformance.test';
const SECRET = 'the secret of the conformance kit';

/** A text of one file of src, wherever it stands there, and what stands there instead. */
export type Edit = readonly [path: string, from: string, to: string];

/** The breach of each rule. */
export const WRONG_NODES: Partial<Record<RuleId, Edit>> = {
  challenge: ['link/handshake.ts', 'const nonce = newNonce();', `const nonce = 'n'.repeat(32);`],
  version: ['link/handshake.ts', 'if (version < said.least || version < versionMin)', 'if (false)'],
  proof: ['link/handshake.ts', `prove(secret, 'node', transcript)`, `prove(secret, 'linker', transcript)`],
  'peer-proof': [
    'link/proof.ts',
    'const same = given.length === expected.length && timingSafeEqual(given, expected);',
    'const same = true;',
  ],
  'unknown-keys': [
    'link/hello.ts',
    'const value = parseJson(payload);',
    `const value = parseJson(payload); if ('extra' in value) throw new LinkProtocolError('unknown');`,
  ],
  'bad-hello': ['link/hello.ts', 'if (!isServedName(route)) throw', 'if (false) throw'],
  'dialled-address': ['link/handshake.ts', 'if (at !== null && at !== options.address?.())', 'if (false)'],
  'handshake-bytes': ['link/link.ts', 'payload), HANDSHAKE_PAYLOAD_BYTES_MAX)', 'payload), PAYLOAD_BYTES_MAX)'],
  'handshake-time': ['link/handshake.ts', 'HANDSHAKE_TIMEOUT_MS = 5_000', 'HANDSHAKE_TIMEOUT_MS = 60_000'],
  'frame-parts': ['link/frames.ts', 'chunk.copy(this.#part, this.#partBytes, at, stop);', 'chunk.copy(this.#part, 0, at, stop);'],
  'frame-type': ['link/node-link.ts', 'default:\n        throw', 'default:\n        return;\n        throw'],
  'frame-again': ['link/node-link.ts', 'default:\n        throw', 'default:\n        if (type !== Frame.HELLO) throw'],
  'frame-number': ['link/frames.ts', 'if (payload.length !== 4)', 'if (payload.length < 4)'],
  'frame-bytes': ['link/frames.ts', 'if (length > this.payloadBytesMax)', 'if (false)'],
  state: [
    'link/node-link.ts',
    'this.#events.report(parseReport(payload));',
    '{ try { this.#events.report(parseReport(payload)); } catch {} }',
  ],
  'grant-limit': ['link/node-link.ts', 'if (lent > this.#concurrencyMax)', 'if (false)'],
  'open-limit': ['link/node-link.ts', 'this.idle += count;\n    this.#offerIdle();', 'this.idle += count + 1;\n    this.#offerIdle();'],
  'open-twice': ['link/node-link.ts', '} while (this.streams.has(this.#lastId));', 'this.#lastId = 1; } while (false);'],
  recall: ['link/node-link.ts', 'this.#owed = Math.min(this.#owed + later, this.active + this.#reserved);', ''],
  serve: [
    'link/stream.ts',
    'return handler.onData(chunk);',
    'if (chunk.length > 1_000) chunk[500] = (chunk[500] ?? 0) ^ 1;\n      return handler.onData(chunk);',
  ],
  'done-keep': ['link/node-link.ts', 'stream.receivedBytes % 2 ** 32', '0'],
  reset: ['link/node-link.ts', 'this.link.writer.number(Frame.RESET, 0, stream.id, code);', ''],
  'try-again': ['node/visits/retry-policy.ts', 'ATTEMPTS_MAX = 3', 'ATTEMPTS_MAX = 1'],
  'half-close': ['link/stream.ts', 'this.#writer.frame(Frame.END, 0, this.id, null);', ''],
  'late-frames': [
    'link/node-link.ts',
    'if (stream === undefined) return;',
    `if (stream === undefined) throw new LinkProtocolError('late');`,
  ],
  'window-kept': ['link/stream.ts', '#credit = WINDOW_BYTES;', '#credit = 4 * WINDOW_BYTES;'],
  'window-given': ['link/stream.ts', 'Frame.WINDOW, 0, this.id, this.#untold', 'Frame.WINDOW, 0, this.id, 4 * WINDOW_BYTES'],
  'window-limit': ['link/stream.ts', 'if (this.#unconsumed + this.#untold > WINDOW_BYTES)', 'if (false)'],
  pong: ['link/link.ts', 'if (this.writer.backlogBytes === 0) this.writer.frame(Frame.PONG, 0, 0, null);', ''],
  ping: ['link/link.ts', 'this.writer.frame(Frame.PING, 0, 0, null);', ''],
  silence: ['link/link.ts', 'if (silentMs >= this.#timing.deadAfterMs)', 'if (false)'],
  flood: ['link/frame-budget.ts', 'if (--this.#left < 0) this.#fill();', ''],
  features: ['link/node-link.ts', `if (!this.link.features.has('limits') || `, 'if ('],
  'move-failed': ['link/node-link.ts', 'if (!this.#moved.failed(count, address)) throw', 'if (false) throw'],
  retire: ['link/node-link.ts', 'this.#events.retire();', ''],
  'agent-link': ['link/agent-words.ts', '!isRoom(room) || !isRoom(running)', 'false'],
  'agent-start': ['link/agent-links.ts', 'this.link.sendJson(Frame.START, start);', ''],
  'agent-room': ['node/lenders/agents.ts', 'return Math.max(0, room - open);', 'return 1;'],
};

/** Makes nodes, or agents, one after the other: what is the same in all of them is read once. */
export class ProcessBuilder {
  readonly #builder: Promise<BuildContext>;
  #edit: Edit | undefined;
  #isEdited = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(app: 'agent-app' | 'node-app' = 'node-app') {
    const plugin: Plugin = {
      name: 'wrong',
      setup: (builder) => builder.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => ({ loader: 'ts', contents: this.#read(path) })),
    };
    this.#builder = context({
      entryPoints: [join(ROOT, `test/conformance/${app}.ts`)],
      outfile: 'node.cjs',
      absWorkingDir: ROOT,
      bundle: true,
      write: false,
      platform: 'node',
      target: 'node24',
      format: 'cjs',
      external: ['yaml'],
      preserveSymlinks: true,
      logLevel: 'error',
      plugins: [plugin],
    });
  }

  /** The process in one file. @throws Error when the text is not in its file. */
  build(file: string, edit?: Edit): Promise<void> {
    const built = this.#turn.then(() => this.#build(file, edit));
    this.#turn = built.catch(() => {});
    return built;
  }

  async stop(): Promise<void> {
    await (await this.#builder).dispose();
  }

  async #build(file: string, edit: Edit | undefined): Promise<void> {
    this.#edit = edit;
    this.#isEdited = edit === undefined;
    const { outputFiles = [] } = await (await this.#builder).rebuild();
    if (!this.#isEdited) throw new Error(`${edit?.[0]} has no "${edit?.[1]}"`);
    writeFileSync(file, outputFiles[0]?.contents ?? '');
  }

  #read(path: string): string {
    const text = readFileSync(path, 'utf8')
      .replaceAll('createRequire(import.meta.url)(', 'require(')
      .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href));
    const [place, from, to] = this.#edit ?? [];
    if (place === undefined || from === undefined || to === undefined || path !== join(ROOT, 'src', place)) return text;
    this.#isEdited = text.includes(from);
    return text.replaceAll(from, () => to);
  }
}

export interface NodeProcess {
  readonly settings: NodeSettings;
  stop(): void;
}

export async function startNodeProcess(file: string): Promise<NodeProcess> {
  const child: ChildProcess = spawn(process.execPath, [file, ROUTE, SECRET], { cwd: dirname(file), stdio: ['ignore', 'pipe', 'ignore'] });
  const stop = (): void => void child.kill('SIGKILL');
  if (child.stdout === null) throw new Error('it has no output');
  const ended = once(child, 'exit').then(() => {
    throw new Error(`${file} has ended`);
  });
  const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended])) as [string];
  ended.catch(() => {});
  const { port, backendPort } = JSON.parse(line) as { port: number; backendPort: number };
  const at = (number: number) => ({ host: '127.0.0.1', port: number });
  return { settings: { backend: at(backendPort), clients: at(port), route: ROUTE, secret: SECRET }, stop };
}
