import assert from 'node:assert';
import { connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import type { Directory } from '../../../src/cluster/directory.ts';
import { createRedisCluster } from '../../../src/cluster/redis/open.ts';
import { dialLink } from '../../../src/link/handshake.ts';
import { LinkerLink } from '../../../src/link/linker-link.ts';
import { createLog } from '../../../src/log.ts';
import type { ProxyNode } from '../../../src/node/node.ts';
import { startLoneNode } from '../../support/harness/lone-node.ts';
import { closeApps, ok, ScriptedApp } from '../../support/harness/scripted-app.ts';
import { ScriptedRedis } from '../scripted-redis.ts';
import { until } from '../stage.ts';
import { latin1, type Target } from '../target.ts';

const ROUTE = 'app.test';
/** Nobody serves it: whoever asks for it is held, and the directory is asked for slots. */
const HELD = 'held.test';
const SLOTS = 2;
const NODE = 'n1';
const PEER = { id: NODE, address: '127.0.0.1:1' };
const LINES_MAX = 12;
const MESSAGE_TURNS = 2;
const MOVE_MS = 10;

/** What a script, or a key, answers; `message CHANNEL TEXT` is one that somebody publishes. */
interface Script {
  readonly answers: Map<string, unknown>;
  readonly messages: (readonly [channel: string, text: string])[];
}

function parse(bytes: Buffer): Script {
  const script: Script = { answers: new Map(), messages: [] };
  for (const line of bytes.toString('latin1').split('\n').slice(0, LINES_MAX)) {
    const [word = '', rest = ''] = split(line);
    if (word === 'message') script.messages.push(split(rest));
    // The client's own words with Redis are not what is fuzzed.
    else if (word !== '' && !['hello', 'info', 'ping', 'client', 'script', 'subscribe'].includes(word))
      script.answers.set(word, jsonOrText(rest));
  }
  return script;
}

function split(line: string): readonly [string, string] {
  const at = line.indexOf(' ');
  return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

class Play {
  readonly #redis: ScriptedRedis;
  readonly #directory: Directory;
  readonly #node: ProxyNode;
  readonly #port: number;
  readonly #link: LinkerLink;

  private constructor(redis: ScriptedRedis, directory: Directory, node: ProxyNode, port: number, link: LinkerLink) {
    this.#redis = redis;
    this.#directory = directory;
    this.#node = node;
    this.#port = port;
    this.#link = link;
  }

  static async open(): Promise<Play> {
    const redis = await ScriptedRedis.listen();
    const app = await ScriptedApp.serving(() => ok('honest'));
    const log = createLog('fuzz', 'silent');
    redis.answers = new Map([
      ['hgetall', { [HELD]: '{}' }],
      ['routes', [HELD, '{}']],
    ]);
    let directory: Directory | null = null;
    const { node, port, backendPort } = await startLoneNode({
      id: NODE,
      cluster: (bound) => {
        const made = createRedisCluster({ url: redis.url, self: { id: NODE, address: bound }, version: 'test', log });
        directory = made.directory;
        return made.cluster;
      },
    });
    const link = await lend(backendPort, app.port);
    await until(() => (node.routes.get(ROUTE)?.slots.lenders[0]?.link.idle === SLOTS ? null : 'the slots do not arrive'));
    return new Play(redis, directory as unknown as Directory, node, port, link);
  }

  async close(): Promise<void> {
    this.#link.link.close('over');
    this.#redis.close();
    await this.#node.stop();
    closeApps();
  }

  async run(bytes: Buffer): Promise<void> {
    const { answers, messages } = parse(bytes);
    this.#redis.answers = answers;
    for (const [channel, text] of messages) {
      this.#redis.publish(channel, text);
      for (let i = 0; i < MESSAGE_TURNS; i++) await turn();
    }
    await this.#askAll();
    assert.equal(lostLink, null, 'the link stays');
    const held = connect(this.#port, '127.0.0.1').on('error', () => {});
    held.write(`GET / HTTP/1.1\r\nHost: ${HELD}\r\n\r\n`);
    const answer = await this.#honest();
    assert(answer.startsWith('HTTP/1.1 200 OK\r\n') && answer.endsWith('honest'), 'a client that needs nothing of Redis is served');
    held.destroy();
    // As long as it promises slots to others they come and go.
    this.#redis.answers = new Map();
    await until(() => {
      const { idle, active } = this.#node.routes.get(ROUTE)?.slots.lenders[0]?.link ?? { idle: 0, active: 0 };
      if (this.#node.held > 0) return `${this.#node.held} clients that have gone are held`;
      return idle === SLOTS && active === 0 ? null : `${idle} of ${SLOTS} slots are idle`;
    });
  }

  async #honest(): Promise<string> {
    const socket = connect(this.#port, '127.0.0.1').on('error', () => {});
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.write(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await until(() => (text.endsWith('honest') || socket.destroyed ? null : `a client that needs nothing of Redis waits (${lostLink})`));
    socket.destroy();
    return text;
  }

  /** Every reader: what it makes of an answer is plain, or it says that the directory can't tell. */
  async #askAll(): Promise<void> {
    const directory = this.#directory;
    const load = { held: 0, active: 0, links: 0 };
    const beat = { idle: 0, instances: [], gone: [] };
    const change = { idle: 0, add: [{ id: 'a', ageMs: 1 }], remove: [], maxHeld: 10, reset: false };
    const asked: Readonly<Record<string, () => Promise<unknown>>> = {
      hold: () => directory.hold(ROUTE, PEER, change),
      offer: () => directory.offer(ROUTE, PEER, 1),
      short: () => directory.short(ROUTE, NODE, 'n2', 1, 0),
      beat: () => directory.beatRoute(ROUTE, PEER, beat),
      beatNode: () => directory.beatNode({ ...load, ...PEER, version: 'test', startedMs: 1 }),
      retire: () => directory.retire(ROUTE, NODE, 'i1', 0),
      linked: () => directory.linked(ROUTE),
      routesOf: () => directory.routesOf(NODE),
      routes: () => directory.routes(),
      route: () => directory.route(ROUTE),
      snapshot: () => directory.snapshot(),
      restart: () => directory.restart(ROUTE),
      startTimes: () => directory.startTimes(ROUTE, 'abc'),
      beginStarts: () => directory.beginStarts(ROUTE, ['abc'], 1_000, { ready: 0, starting: 0, begun: 0 }),
    };
    await Promise.all(
      Object.entries(asked).map(async ([name, ask]) => {
        const answer = await ask().catch((error: unknown) => {
          if (error instanceof Error && ['DirectoryUnavailable', 'ConfigError', 'PullproxyError'].includes(error.name)) return null;
          throw error;
        });
        assertPlain(name, answer);
      }),
    );
  }
}

/** Numbers are numbers, names are names, whatever stood in Redis. Settings of routes are read where they are used. */
function assertPlain(what: string, value: unknown): void {
  if (typeof value === 'number') assert(Number.isFinite(value), `${what}: ${value} for a number`);
  else if (typeof value === 'string') {
    assert(!['undefined', 'null', 'NaN', '[object Object]'].includes(value), `${what}: ${value} for a name`);
    // A terminal's own language and nothing that ends a line: names are shown, and passed to commands. Some are only compared.
    if (!what.startsWith('routes.') && !what.startsWith('route.'))
      assert(!/[\p{Cc}]/u.test(value), `${what}: control characters in a name`);
  } else if (value instanceof Map) for (const [name, one] of value) assertPlain(`${what}.${String(name).slice(0, 0)}`, [name, one]);
  else if (Array.isArray(value)) for (const one of value) assertPlain(`${what}[]`, one);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) if (name !== 'settings') assertPlain(`${what}.${name}`, one);
  }
}

/** A linker that dials nobody: slots that are to be moved come back. */
function lend(backendPort: number, appPort: number): Promise<LinkerLink> {
  return new Promise((resolve, reject) =>
    dialLink(connect(backendPort, '127.0.0.1'), {
      hello: { route: ROUTE, instance: 'i1', seq: 1, concurrency: SLOTS },
      secret: 's',
      failed: (reason) => reject(new Error(reason)),
      ready: (link) => {
        const linker: LinkerLink = new LinkerLink(link, {
          opened: (stream) => {
            const app = connect(appPort, '127.0.0.1').on('error', () => {});
            app.on('data', (chunk: Buffer) => void stream.write(chunk));
            app.on('close', () => linker.free(stream, 0, true, false));
            stream.handler = {
              where: 'visit',
              fail: () => void app.destroy(),
              onData: (chunk) => {
                app.write(chunk);
                stream.consumed(chunk.length);
                return 'kept';
              },
              onEnd: () => app.end(),
              onDrain: () => {},
              onReset: () => void app.destroy(),
            };
            apps.set(stream, app);
          },
          done: (stream) => void apps.get(stream)?.destroy(),
          returned: (count) => linker.grant(count),
          // As late as a linker that tries to reach the other node first: at once it would be a flood, which ends the link.
          moveWanted: (count) => void setTimeout(() => linker.grant(count), MOVE_MS),
          newest: () => {},
          retireAnswer: () => {},
          goAway: () => {},
          down: (reason) => {
            lostLink = reason;
          },
        });
        lostLink = null;
        linker.grant(SLOTS);
        resolve(linker);
      },
    }),
  );
}

/** Why the linker's link was lost. */
let lostLink: string | null = null;
const apps = new WeakMap<object, { destroy(): unknown }>();
let play: Play | null = null;

export const DIRECTORY: Target = {
  name: 'directory',
  sources: ['/src/cluster/', '/src/node/cluster-events.ts', '/src/node/matching/'],
  pace: 'sockets',
  lines: true,
  words: [
    ...[
      'hold ',
      'offer ',
      'short ',
      'beat ',
      'beatNode ',
      'plan ',
      'snapshot ',
      'nodes ',
      'linked ',
      'retire ',
      'restart ',
      'startTimes ',
      'routes ',
    ],
    ...[
      'hgetall ',
      'hget ',
      'smembers ',
      'hmget ',
      'pttl ',
      'publish ',
      'zcard ',
      'hset ',
      'sadd ',
      'message pp:node:n1 ',
      'message pp:demand ',
      'message pp:routes ',
    ],
    ...[
      'null',
      'true',
      '-1',
      '1e999',
      '0.5',
      '9007199254740993',
      '"',
      '[]',
      '{}',
      '[[[[]]]]',
      '""',
      '"NaN"',
      '"a b"',
      '"\\u0000"',
      '"\\u001b[2J"',
      '"*.app.test"',
    ],
    ...[
      '"__proto__"',
      '"constructor"',
      '{"error":"WRONGTYPE x"}',
      '{"error":"ERR value is not an integer"}',
      '{"error":"OOM x"}',
      '{"error":"READONLY x"}',
    ],
    ...[
      '{"t":"want","route":"app.test","count":1,"asker":{"id":"n2","address":"127.0.0.1:1"}}',
      '"count":-1',
      '"count":1e9',
      '"count":0.5',
      '"asker":null',
    ],
    ...[
      '{"t":"coming","route":"app.test","count":1,"from":"n2"}',
      '{"t":"look","route":"app.test"}',
      '"route":"x;e"',
      '"route":1',
      '"t":"none"',
    ],
    ...[
      '{"route":"app.test","node":"n2","oldest":1,"saidAt":1}',
      '"oldest":1e999',
      '"address":"127.0.0.1:99999"',
      '"address":"[::"',
      'app.test',
      'held.test',
    ],
  ],
  seeds: [
    'hold [1000,1,1,900,-1,[],0,[]]',
    'hold [1000,1,1,900,800,["n2","n1","127.0.0.1:1",1],0,["a"]]',
    'offer [1000,1,0,-1,900,["n1","n2","127.0.0.1:1",1],0]',
    'beat [1000,1,1,["i1"],"i1","n1",1]',
    'beatNode [1000,1,1,"n2","n3"]\nsmembers ["app.test"]',
    'snapshot [1,5,0,1,["abc",1000],["i1","{\\"id\\":\\"i1\\",\\"seq\\":1,\\"concurrency\\":2,\\"active\\":0,\\"node\\":\\"n1\\",\\"state\\":\\"ready\\"}"],[3,"x",5,6]]\nnodes ["n1",5]',
    'hgetall {"app.test":"{\\"maxHeld\\":5}","a{b}":"{}","":"x"}\nroutes ["app.test","{}","a{b}","{}"]',
    'hget "{\\"command\\":[\\"a\\"]}"\npttl 100',
    'message pp:node:n1 {"t":"want","route":"app.test","count":1,"asker":{"id":"n2","address":"127.0.0.1:1"}}',
    'message pp:node:n1 {"t":"want","route":"x","count":1}',
    'message pp:node:n1 {"t":"coming","route":"app.test","count":1,"from":"n2"}\nmessage pp:node:n1 {"t":"look","route":"held.test"}',
    'message pp:demand {"route":"app.test","node":"n2","oldest":1,"saidAt":1}\nmessage pp:routes app.test\nhgetall {"app.test":"{}"}',
  ].map(latin1),
  async run(bytes) {
    // Asking to leave is what an operator may do.
    if (bytes.includes('"leave"')) return;
    play ??= await Play.open();
    await play.run(bytes);
  },
  async restart() {
    await play?.close();
    play = null;
  },
};
