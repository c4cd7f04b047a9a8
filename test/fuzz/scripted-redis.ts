/** A Redis that answers what it is told to, in RESP3: what is in it may have been written by anybody. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { SCRIPTS } from '../../src/cluster/redis/scripts.ts';

/** An answer as JSON; `{"error": "..."}` is one of Redis' errors. */
export type Answers = ReadonlyMap<string, unknown>;

const scriptNames = new Map(Object.entries(SCRIPTS).map(([name, { lua }]) => [shaOf(Buffer.from(lua)), name]));

/** What an empty Redis answers. */
const PLAIN: Readonly<Record<string, unknown>> = {
  hold: [1, 1, 1, -1, -1, [], 0, []],
  offer: [1, 1, 0, -1, -1, [], 0],
  short: [1, 1, 0, -1, -1, [], 0],
  beat: [1, 1, 0, [], '', '', 0],
  beatNode: [1, 1, 0],
  plan: [0, 0, 0, 0, 0, 0, -1, 0, -1, 0, -1, 0, 0, 0, []],
  snapshot: [0, 0, 0, 0, [], [], []],
  nodes: [],
  linked: 0,
  hgetall: {},
  smembers: [],
  hget: null,
  hmget: [],
  pttl: -2,
  publish: 1,
  ping: 'PONG',
  info: 'redis_version:7.2.0\r\nloading:0\r\n',
  hello: { server: 'redis', version: '7.2.0', proto: 3, role: 'master' },
};

export class ScriptedRedis {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #subscribers = new Set<Socket>();
  answers: Answers = new Map();

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  static async listen(): Promise<ScriptedRedis> {
    const redis = new ScriptedRedis();
    await once(redis.#server.listen(0, '127.0.0.1'), 'listening');
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Delivers a message to all who listen to the channel. */
  publish(channel: string, message: string): void {
    const bytes = Buffer.from(`>3\r\n${bulk('message')}${bulk(channel)}${bulk(message)}`, 'latin1');
    for (const socket of this.#subscribers) socket.write(bytes);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#subscribers.delete(socket);
    });
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (let command = takeCommand(text); command !== null; command = takeCommand(text)) {
        text = command.rest;
        socket.write(Buffer.from(this.#answer(socket, command.words), 'latin1'));
      }
    });
  }

  #answer(socket: Socket, words: readonly string[]): string {
    const [first = '', second = ''] = words;
    const command = first.toLowerCase();
    if (command === 'subscribe') {
      this.#subscribers.add(socket);
      return words
        .slice(1)
        .map((channel, i) => `>3\r\n${bulk('subscribe')}${bulk(channel)}:${i + 1}\r\n`)
        .join('');
    }
    const sha = command === 'eval' ? shaOf(Buffer.from(second, 'latin1')) : second;
    const name = command.startsWith('eval') ? (scriptNames.get(sha) ?? command) : command;
    const answer = this.answers.has(name) ? this.answers.get(name) : Object.hasOwn(PLAIN, name) ? PLAIN[name] : 1;
    return encode(answer, 0);
  }
}

function shaOf(lua: Buffer): string {
  return createHash('sha1').update(lua).digest('hex');
}

const DEPTH_MAX = 20;

function encode(value: unknown, depth: number): string {
  if (depth > DEPTH_MAX || value === null || value === undefined) return '_\r\n';
  if (typeof value === 'boolean') return value ? '#t\r\n' : '#f\r\n';
  if (typeof value === 'number') return Number.isSafeInteger(value) ? `:${value}\r\n` : `,${value}\r\n`;
  if (typeof value === 'string') return bulk(value);
  if (Array.isArray(value)) return `*${value.length}\r\n${value.map((one) => encode(one, depth + 1)).join('')}`;
  const entries = Object.entries(value as object);
  const [name, words] = entries[0] ?? [];
  if (name === 'error' && entries.length === 1) return `-${String(words).replace(/[\r\n]/g, ' ')}\r\n`;
  return `%${entries.length}\r\n${entries.map(([key, one]) => bulk(key) + encode(one, depth + 1)).join('')}`;
}

function bulk(text: string): string {
  const bytes = Buffer.from(text);
  return `$${bytes.length}\r\n${bytes.toString('latin1')}\r\n`;
}

/** The next command, if it is whole; what clients send are arrays of strings. */
function takeCommand(text: string): { readonly words: string[]; readonly rest: string } | null {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return null;
  let at = head[0].length;
  const words: string[] = [];
  for (let i = 0; i < Number(head[1]); i++) {
    const size = /\$(\d+)\r\n/y;
    size.lastIndex = at;
    const match = size.exec(text);
    if (match === null) return null;
    const from = at + match[0].length;
    const to = from + Number(match[1]);
    if (text.length < to + 2) return null;
    words.push(text.slice(from, to));
    at = to + 2;
  }
  return { words, rest: text.slice(at) };
}
