import assert from 'node:assert';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { linkBudget } from '../../../src/link/frame-budget.ts';
import { Frame } from '../../../src/link/frames.ts';
import { acceptLink, dialLink, type Hello } from '../../../src/link/handshake.ts';
import type { Link, LinkRole } from '../../../src/link/link.ts';
import type { Stream } from '../../../src/link/stream.ts';
import { Linker } from '../../../src/linker/linker.ts';
import { createLog } from '../../../src/log.ts';
import { ChurnMap } from '../../../src/memory/churn-map.ts';
import type { Ownership } from '../../../src/memory/reused-reads.ts';
import { type LinkStep, parseLinkScript } from '../link-script.ts';
import { startHttpApp } from '../meaning-apps.ts';
import { Stage, until } from '../stage.ts';
import { latin1, type Target } from '../target.ts';

const HONEST = 'app.test';
const EVIL = 'evil.test';
const WAIT_TURNS = 8;
const SLOTS = 3;

/** An end of a link that does nothing by itself, and notes what it hears. */
class Puppet implements LinkRole {
  readonly streams = new ChurnMap<number, Stream>();
  readonly budget = linkBudget(0);
  readonly link: Link;
  readonly heard: (readonly [type: number, payload: Buffer])[] = [];
  downReason: string | null = null;

  constructor(link: Link) {
    this.link = link;
    link.begin(this);
  }

  receive(type: number, _flags: number, _id: number, payload: Buffer): Ownership {
    if (this.heard.length < 1_000) this.heard.push([type, Buffer.from(payload)]);
    return 'borrowed';
  }

  down(reason: string): void {
    this.downReason = reason;
  }

  async play(steps: readonly LinkStep[], client: () => void): Promise<void> {
    const { socket } = this.link;
    for (const step of steps) {
      if (socket.destroyed) return;
      if (step.kind === 'said') for (let i = 0; i < step.times; i++) socket.write(step.bytes);
      else if (step.kind === 'client') client();
      else if (step.kind === 'wait') await turns();
      else if (step.kind === 'fin') socket.end();
      else socket.resetAndDestroy();
    }
    await turns();
  }
}

async function turns(): Promise<void> {
  for (let i = 0; i < WAIT_TURNS; i++) await turn();
}

/** Nobody has a reason to connect here. */
class Trap {
  readonly #server: Server;
  caught = 0;

  private constructor() {
    this.#server = createServer((socket) => {
      this.caught++;
      socket.destroy();
    });
  }

  static async set(): Promise<Trap> {
    const trap = new Trap();
    await once(trap.#server.listen(0, '127.0.0.1'), 'listening');
    return trap;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
  }
}

// ── a node, and a linker that says anything ──

class NodePlay {
  readonly #stage: Stage;
  readonly #trap: Trap;
  readonly #closeApp: () => void;

  private constructor(stage: Stage, trap: Trap, closeApp: () => void) {
    this.#stage = stage;
    this.#trap = trap;
    this.#closeApp = closeApp;
  }

  static async open(): Promise<NodePlay> {
    const app = await startHttpApp();
    const secrets = (route: string): readonly string[] =>
      route === HONEST ? ['s'] : route === EVIL || route.endsWith('.evil.test') ? ['e'] : [];
    return new NodePlay(await Stage.open({ apps: { [HONEST]: app.port }, node: { secrets } }), await Trap.set(), () => app.close());
  }

  async close(): Promise<void> {
    this.#trap.close();
    this.#closeApp();
    await this.#stage.close();
  }

  async run(bytes: Buffer): Promise<void> {
    const text = bytes.toString('latin1').replaceAll('TRAP', `127.0.0.1:${this.#trap.port}`);
    const [first = '', ...rest] = text.split('\n');
    const steps = parseLinkScript(latin1((first.startsWith('hello ') ? rest : [first, ...rest]).join('\n')));
    const puppet = await this.#dial(first.startsWith('hello ') ? first.slice(6) : '{}');
    const clients: Socket[] = [];
    await puppet?.play(steps, () => clients.push(this.#ask(EVIL)));
    await this.#assertHonest();
    for (const client of clients) client.destroy();
    puppet?.link.close('over');
    await this.#stage.atRest();
    assert.equal(this.#trap.caught, 0, 'a connection to where a linker said, and nobody else');
    const { lenders } = this.#stage.node.routes.get(HONEST)?.slots ?? { lenders: [] };
    assert.equal(lenders.length, 1, "the other route's instances");
  }

  /** Null: refused. */
  #dial(said: string): Promise<Puppet | null> {
    const hello: Hello = { route: EVIL, instance: 'e1', seq: 1, concurrency: SLOTS, ...overrides(said) };
    const socket = connect(this.#stage.backendPort, '127.0.0.1').on('error', () => {});
    return new Promise((resolve) => {
      socket.on('close', () => resolve(null));
      dialLink(socket, { hello, secret: 'e', ready: (link) => resolve(new Puppet(link)), failed: () => resolve(null) });
    });
  }

  #ask(host: string): Socket {
    const socket = this.#stage.connect();
    socket.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\n\r\nhello`);
    return socket;
  }

  async #assertHonest(): Promise<void> {
    const socket = this.#ask(HONEST);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    await until(() => (text.includes('echo') || socket.destroyed ? null : 'a client of another route waits'));
    assert(text.startsWith('HTTP/1.1 200 OK'), 'a client of another route is served');
    socket.destroy();
  }
}

function overrides(json: string): Partial<Hello> {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Partial<Hello>) : {};
  } catch {
    return {};
  }
}

// ── a linker, and a node that says anything ──

class LinkerPlay {
  readonly #server: Server;
  readonly #puppets: Puppet[] = [];
  readonly #app: Server;
  #appConnections = 0;
  #appConnectionsMost = 0;

  private constructor() {
    this.#server = createServer((socket) => {
      acceptLink(
        socket.on('error', () => {}),
        {
          node: 'n1',
          secrets: () => ['s'],
          ready: (link) => this.#puppets.push(new Puppet(link)),
          failed: () => {},
        },
      );
    });
    this.#app = createHttp((request, response) => {
      request.resume().on('end', () => response.end('echo'));
    });
    this.#app.on('connection', (socket: Socket) => {
      this.#appConnectionsMost = Math.max(this.#appConnectionsMost, ++this.#appConnections);
      socket.on('close', () => this.#appConnections--);
    });
  }

  static async open(): Promise<LinkerPlay> {
    const play = new LinkerPlay();
    await once(play.#server.listen(0, '127.0.0.1'), 'listening');
    await once(play.#app.listen(0, '127.0.0.1'), 'listening');
    return play;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#app.close();
    for (const { link } of this.#puppets) link.close('over');
  }

  async run(bytes: Buffer): Promise<void> {
    this.#puppets.length = 0;
    this.#appConnectionsMost = 0;
    const port = (this.#server.address() as AddressInfo).port;
    const steps = parseLinkScript(latin1(bytes.toString('latin1').replaceAll('SELF', `127.0.0.1:${port}`)));
    const linker = new Linker({
      proxies: [{ host: '127.0.0.1', port }],
      route: HONEST,
      concurrency: SLOTS,
      secret: 's',
      env: {},
      app: { host: '127.0.0.1', port: (this.#app.address() as AddressInfo).port },
      log: createLog('fuzz', 'silent'),
      abortTimeoutMs: 10,
      discardTimeoutMs: 10,
    });
    let exit: number | null = null;
    const over = linker.run().then((code) => {
      exit = code;
    });
    try {
      const puppet = await this.#lent();
      await puppet.play(steps, () => {});
      puppet.link.close('over');
      this.#puppets.splice(0, this.#puppets.length, ...this.#puppets.filter((one) => one.downReason === null));
      assert.equal(exit, null, 'the linker ends');
      await this.#lent();
      assert(this.#appConnectionsMost <= SLOTS, `${this.#appConnectionsMost} connections of the application for ${SLOTS} slots`);
    } finally {
      linker.drain();
      linker.drain();
      await over;
    }
  }

  /** A link on which the linker has lent all that it has. */
  async #lent(): Promise<Puppet> {
    await until(() => {
      const sum = this.#puppets.filter(({ downReason }) => downReason === null).reduce((all, puppet) => all + grantedOn(puppet), 0);
      return sum === SLOTS ? null : `${sum} of ${SLOTS} slots are lent`;
    });
    return this.#puppets.find((puppet) => puppet.downReason === null && grantedOn(puppet) > 0) as Puppet;
  }
}

function grantedOn({ heard }: Puppet): number {
  return heard.reduce((sum, [type, payload]) => sum + (type === Frame.GRANT && payload.length === 4 ? payload.readUInt32BE(0) : 0), 0);
}

let nodePlay: NodePlay | null = null;
let linkerPlay: LinkerPlay | null = null;
const types = Object.keys(Frame);

const WORDS = [
  ...types.flatMap((type) => [`number ${type} 0 0 1\n`, `empty ${type} 0 1\n`, `text ${type} 0 0 {}\n`, type]),
  ...[
    'number ',
    'text ',
    'counted ',
    'frame ',
    'empty ',
    'times 500\n',
    'times 2000\n',
    'wait\n',
    'fin\n',
    'rst\n',
    'bytes ff',
    '~30000',
    '4294967295',
  ],
  ...[
    '127.0.0.1:1',
    '[::1]:1',
    'no such name:1',
    ':0',
    '{"home":true,"state":"ready","active":0}',
    '"active":1e9',
    '"state":"draining"',
    'null',
    '__proto__',
  ],
];

export const NODE_LINK_END: Target = {
  name: 'node-link-end',
  sources: [
    '/src/link/',
    '/src/node/lenders/link-server.ts',
    '/src/node/lenders/lenders.ts',
    '/src/node/relay',
    '/src/node/matching/lent-slots.ts',
    '/src/node/matching/dispatch.ts',
    '/src/cluster/',
  ],
  pace: 'sockets',
  lines: true,
  words: [
    ...WORDS,
    'client\n',
    'TRAP',
    'hello {"route":"',
    '"instance":"',
    '"seq":',
    '"concurrency":1000000',
    '"relay":true',
    '"tellClients":true',
    '"startId":"abc"',
    HONEST,
  ],
  seeds: [
    'number GRANT 0 0 2\nclient\nwait\ntext DATA 0 1 HTTP/1.1 200 OK\nempty END 0 1\nnumber RESET 0 1 0\n',
    'number GRANT 0 0 3\nclient\nclient\nwait\nnumber RESET 1 1 2\nnumber RECALL 0 0 3\nwait\n',
    'text STATE 0 0 {"home":true,"state":"ready","active":0}\nempty RETIRE 0 0\nwait\nempty START 0 0\nwait\n',
    'number GRANT 0 0 1\ncounted MOVE_FAILED 0 0 1 TRAP\nwait\n',
    'times 500\nempty RETIRE 0 0\nwait\ntimes 500\nempty PING 0 0\ntimes 100\nempty START 0 0\n',
    'hello {"route":"--privileged.evil.test"}\nnumber GRANT 0 0 1\n',
    'hello {"route":"a..*.evil.test","instance":"i1"}\nnumber GRANT 0 0 1\n',
    'hello {"instance":"i1","seq":9007199254740991,"concurrency":1}\nnumber GRANT 0 0 1\ntext STATE 0 0 {"home":true,"state":"draining","active":0}\nwait\n',
    'hello {"relay":true}\nnumber GRANT 0 0 1\nwait\nclient\nwait\n',
    'number WINDOW 0 1 100\nempty DONE 1 1\nnumber CONNECTED 0 1 5\n',
  ].map(latin1),
  async run(bytes) {
    nodePlay ??= await NodePlay.open();
    await nodePlay.run(bytes);
  },
  async restart() {
    await nodePlay?.close();
    nodePlay = null;
  },
};

export const LINKER_LINK_END: Target = {
  name: 'linker-link-end',
  sources: ['/src/link/', '/src/linker/'],
  pace: 'sockets',
  lines: true,
  words: [...WORDS, 'SELF', 'GET / HTTP/1.1', '\\r\\n', '192.0.2.7 4660 127.0.0.1 80'],
  seeds: [
    'text OPEN 0 1 GET / HTTP/1.1\nwait\nnumber WINDOW 0 1 1\nempty END 0 1\nempty DONE 1 1\n',
    'text OPEN 1 1 x\nwait\nnumber RESET 0 1 3\nwait\nnumber RETURN 0 0 2\nwait\n',
    'text OPEN 0 1 a\ntext OPEN 0 2 b\ntext OPEN 0 3 c\ntext DATA 0 2 hello\nempty DONE 0 1\nempty DONE 0 2\nwait\n',
    'counted MOVE 0 0 1 127.0.0.1:1\nwait\ncounted MOVE 0 0 1 SELF\nwait\n',
    'empty NEWEST 1 0\nempty NEWEST 0 0\nempty RETIRE_ANSWER 1 0\nempty RETIRE_ANSWER 0 0\nwait\n',
    'empty GOAWAY 0 0\nnumber RETURN 0 0 3\nwait\n',
    'empty GOAWAY 1 0\nwait\n',
    'text CLIENT 0 1 192.0.2.7 4660 127.0.0.1 80\ntext OPEN 4 1 x\ntimes 500\nempty PING 0 0\nwait\n',
  ].map(latin1),
  async run(bytes) {
    linkerPlay ??= await LinkerPlay.open();
    await linkerPlay.run(bytes);
  },
  async restart() {
    await linkerPlay?.close();
    linkerPlay = null;
  },
};
