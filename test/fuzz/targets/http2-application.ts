import assert from 'node:assert';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { bytesOf, type Field, parseScript, type Step } from '../http2/script.ts';
import { Stage, until } from '../stage.ts';
import { latin1, type Target } from '../target.ts';

const ROUTE = 'h2c.test';
const HONEST = 'headers 1 . :status=200\ndata 1 e honest\n';
const WAIT_TURNS = 8;
/** Before a script that has no end of its own ends. */
const LAST_TURNS = 16;
const BODY = Buffer.alloc(30_000, 'b');

/** What an application's script says on the one stream that there is. */
class MeantAnswer {
  readonly heads: (readonly Field[])[] = [];
  readonly body: Buffer[] = [];
  ended = false;
  reset = false;
  /** Something that is not modelled was said. */
  broken = false;
  #open: Field[] | null = null;
  #openEnds = false;

  constructor(steps: readonly Step[]) {
    for (const step of steps) if (!this.#take(step)) break;
  }

  get status(): number {
    return Number(this.#final?.find(([name]) => name === ':status')?.[1]);
  }

  valuesOf(name: string): string[] {
    return (this.#final ?? []).filter(([given]) => given.toLowerCase() === name).map(([, value]) => value.trim());
  }

  get #final(): readonly Field[] | undefined {
    return this.heads.find((fields) => !fields.some(([name, value]) => name === ':status' && /^1\d\d$/.test(value)));
  }

  #take(step: Step): boolean {
    if ((step.kind === 'headers' || step.kind === 'data' || step.kind === 'continuation') && step.id !== 1) this.broken = true;
    switch (step.kind) {
      case 'headers':
        this.#open = [...step.fields];
        this.#openEnds = step.end;
        if (step.whole) this.#head();
        return true;
      case 'continuation':
        this.#open?.push(...step.fields);
        if (step.whole) this.#head();
        return true;
      case 'data':
        if (!this.ended && !this.reset) {
          this.body.push(step.body);
          this.ended = step.end;
        }
        return true;
      case 'reset':
        if (!this.ended && step.id === 1) this.reset = true;
        return true;
      case 'raw':
        this.broken = true;
        return true;
      case 'fin':
      case 'rst':
        return false;
      default:
        return true;
    }
  }

  #head(): void {
    if (this.#open === null) return;
    if (!this.ended && !this.reset) this.heads.push(this.#open);
    this.ended ||= this.#openEnds && !this.reset;
    this.#open = null;
  }
}

/** Plays a script on each connection. */
class FrameApp {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  script: readonly Step[] = [];

  private constructor() {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('end', () => socket.end());
      socket.once('close', () => this.#sockets.delete(socket));
      // The linker looks whether the application accepts: nothing is played for that.
      socket.once('data', () => {
        socket.resume();
        void this.#play(socket);
      });
    });
  }

  static async listen(): Promise<FrameApp> {
    const app = new FrameApp();
    await once(app.#server.listen(0, '127.0.0.1'), 'listening');
    return app;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #play(socket: Socket): Promise<void> {
    const steps = this.script;
    socket.write(bytesOf({ kind: 'settings', values: [[4, 0x7fffffff]] }) as Buffer);
    socket.write(Buffer.from('0000040800000000003fffffff', 'hex'));
    // The request has come.
    for (let i = 0; i < LAST_TURNS; i++) await turn();
    for (const step of steps) {
      if (step.kind === 'wait') for (let i = 0; i < WAIT_TURNS; i++) await turn();
      if (socket.destroyed) return;
      const said = bytesOf(step);
      if (said !== null) socket.write(said);
      if (step.kind === 'fin') socket.end();
      if (step.kind === 'rst') socket.resetAndDestroy();
      if (step.kind === 'fin' || step.kind === 'rst') return;
    }
    for (let i = 0; i < LAST_TURNS; i++) await turn();
    if (!socket.destroyed) socket.end();
  }
}

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly whole: boolean;
}

class Play {
  readonly #stage: Stage;
  readonly #app: FrameApp;

  private constructor(stage: Stage, app: FrameApp) {
    this.#stage = stage;
    this.#app = app;
  }

  static async open(): Promise<Play> {
    const app = await FrameApp.listen();
    const node = { routes: { [ROUTE]: { protocol: 'h2c' } } };
    return new Play(await Stage.open({ apps: { [ROUTE]: app.port }, node }), app);
  }

  async close(): Promise<void> {
    this.#app.close();
    await this.#stage.close();
  }

  async run(bytes: Buffer): Promise<void> {
    const session = connectHttp2(`http://127.0.0.1:${this.#stage.port}`);
    session.on('error', () => {});
    const steps = parseScript(bytes);
    judge(await this.#ask(session, steps, bytes.length % 2 === 0), new MeantAnswer(steps));
    const next = await this.#ask(session.destroyed || session.closed ? null : session, parseScript(latin1(HONEST)), false);
    assert.deepEqual([next?.status, next?.whole, next?.body.toString()], [200, true, 'honest'], 'the next client gets its own answer');
    session.destroy();
    await this.#stage.atRest();
  }

  async #ask(given: ClientHttp2Session | null, script: readonly Step[], upload: boolean): Promise<Got | null> {
    this.#app.script = script;
    const session = given ?? connectHttp2(`http://127.0.0.1:${this.#stage.port}`);
    session.on('error', () => {});
    const stream = session.request({ ':method': upload ? 'POST' : 'GET', ':path': '/', ':authority': ROUTE }, { endStream: !upload });
    const body: Buffer[] = [];
    let headers: IncomingHttpHeaders | null = null;
    let [ended, closed] = [false, false];
    stream.on('error', () => {});
    stream.on('response', (heard, flags) => {
      headers = heard;
      ended ||= (flags & 1) !== 0;
    });
    stream.on('data', (chunk: Buffer) => body.push(chunk));
    stream.on('end', () => {
      ended = true;
    });
    stream.on('close', () => {
      closed = true;
    });
    if (upload) stream.end(BODY);
    await until(() => (closed ? null : 'a client waits for an answer for ever'));
    if (given === null) session.destroy();
    if (headers === null) return null;
    const heard = headers as IncomingHttpHeaders;
    return { status: Number(heard[':status']), headers: heard, body: Buffer.concat(body), whole: ended && stream.rstCode === 0 };
  }
}

/** What a client gets as whole is what the application said as whole. */
function judge(got: Got | null, meant: MeantAnswer): void {
  if (got === null || !got.whole || meant.broken) return;
  if (String(got.headers['proxy-status'] ?? '').includes('pullproxy; error=')) return;
  // By its status it has no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5): its head is the whole of it.
  if ([204, 205, 304].includes(got.status)) return;
  assert(meant.ended && !meant.reset, 'an answer that was broken off is whole for the client');
  assert.equal(got.status, meant.status, 'the status');
  const body = Buffer.concat(meant.body);
  assert(got.body.equals(body), `the body: ${got.body.length} bytes for ${body.length}`);
  for (const [name, value] of Object.entries(got.headers)) {
    if (name.startsWith(':') || typeof value !== 'string' || name === 'via' || name === 'date') continue;
    const values = meant.valuesOf(name).join(', ');
    assert.equal(
      value.replace(/\s*[,;]\s*/g, ','),
      values.replace(/\s*[,;]\s*/g, ','),
      `a header that was not sent so: ${name.slice(0, 30)}`,
    );
  }
}

let play: Play | null = null;

export const HTTP2_APPLICATION: Target = {
  name: 'http2-application',
  sources: ['/src/node/http2/', '/src/node/matching/dispatch.ts', '/src/linker/'],
  pace: 'sockets',
  lines: true,
  words: [
    ...[
      'headers 1 e ',
      'headers 1 . ',
      'headers 1 - ',
      'continuation 1 ',
      'headers 3 e ',
      'headers 2 e ',
      'data 1 e ',
      'data 1 . *20000',
      'data 3 e a',
    ],
    ...[
      ':status=200',
      ':status=103',
      ':status=100',
      ':status=101',
      ':status=999',
      ':status=204',
      ':status=304',
      ':status=205',
      ':status=',
      ':status=+200',
    ],
    ...[
      '|te=trailers',
      '|http2-settings=AA',
      '|connection=close',
      '|transfer-encoding=chunked',
      '|upgrade=h2c',
      '|content-length=5',
      '|content-length=0',
    ],
    ...[
      '|x-a=b',
      '|X-A=b',
      '|x-a=\\r\\nb',
      '|x-a=\\0',
      '|set-cookie=a',
      '|location=a',
      '|__proto__=a',
      '|constructor=b',
      '|:path=/',
      '|x-a=~60000',
      '|host=a',
    ],
    ...[
      'reset 1 0',
      'reset 1 8',
      'reset 1 2',
      'reset 3 7',
      'settings 3=0',
      'settings 4=0',
      'settings 2=1',
      'settings 1=0',
      'settings ack',
      'settings 5=1',
    ],
    ...[
      'ping',
      'ping ack',
      'goaway 0 0',
      'goaway 1 0',
      'goaway 2147483647 2',
      'window 0 1',
      'window 1 2147483647',
      'window 1 0',
      'wait',
      'fin',
      'rst',
    ],
    ...['raw 5 4 1 00000002828684', 'raw 2 0 1 0000000310', 'raw 9 4 1 88', 'raw 0 8 1 ff', 'raw 200 1 1 00', 'bytes 485454502f312e31'],
  ],
  seeds: [
    HONEST,
    'headers 1 e :status=204\n',
    'headers 1 . :status=200|content-length=5|set-cookie=a|set-cookie=b\ndata 1 . hel\nwait\ndata 1 e lo\n',
    'headers 1 . :status=103|link=a\nwait\nheaders 1 . :status=200\ndata 1 . hello\nheaders 1 e x-sum=1\n',
    'headers 1 . :status=200\ndata 1 . hello\nwait\nreset 1 0\n',
    'headers 1 . :status=200\ndata 1 . hello\nwait\nreset 1 8\n',
    'headers 1 . :status=200\ndata 1 . hello\nwait\nfin\n',
    'headers 1 e :status=413\nreset 1 0\n',
    'goaway 0 0\nfin\n',
    'reset 1 7\n',
    'headers 1 . :status=200\ndata 1 . *70000\nping\nsettings 3=1\ndata 1 e a\n',
  ].map(latin1),
  async run(bytes) {
    play ??= await Play.open();
    await play.run(bytes);
  },
  async restart() {
    await play?.close();
    play = null;
  },
};
