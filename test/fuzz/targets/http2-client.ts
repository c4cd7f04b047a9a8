import assert from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import { Type } from '../../support/http2-frames.ts';
import { Meaning, type MeantRequest, valuesOf } from '../http2/meaning.ts';
import { bytesOf, END_STREAM, type Field, FrameScanner, PREFACE, parseScript, type Step } from '../http2/script.ts';
import { type GotRequest, type MeaningApp, startHttp2App, startHttpApp, TAG, tagOf } from '../meaning-apps.ts';
import { Stage, until } from '../stage.ts';
import { latin1, type Target } from '../target.ts';

const HTTP1 = 'app.test';
const HTTP2 = 'h2c.test';
/** Turns of the event loop after which what was said so far has been read. */
const WAIT_TURNS = 12;

/** What the node says to the application by itself, or says otherwise than the client. */
const REWRITTEN = new Set([
  ...['host', ':authority', 'via', 'forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-id'],
  ...['traceparent', 'tracestate', 'transfer-encoding', 'content-length', 'connection', 'keep-alive', 'proxy-connection', 'upgrade'],
  ...['te', 'trailer', 'expect', 'http2-settings', 'x-real-ip', 'x-forwarded-port', 'proxy-authorization', 'proxy-authenticate'],
  ...['pullproxy-concurrency', 'priority', 'date'],
]);

class Play {
  readonly stage: Stage;
  readonly http1: MeaningApp;
  readonly http2: MeaningApp;
  #run = 0;

  private constructor(stage: Stage, http1: MeaningApp, http2: MeaningApp) {
    this.stage = stage;
    this.http1 = http1;
    this.http2 = http2;
  }

  static async open(): Promise<Play> {
    const [http1, http2] = [await startHttpApp(), await startHttp2App()];
    const apps = { [HTTP1]: http1.port, [HTTP2]: http2.port };
    return new Play(await Stage.open({ apps, node: { routes: { [HTTP2]: { protocol: 'h2c' } } } }), http1, http2);
  }

  async close(): Promise<void> {
    await this.stage.close();
    this.http1.close();
    this.http2.close();
  }

  async run(bytes: Buffer): Promise<void> {
    const run = `r${this.#run++}`;
    const steps = tagged(parseScript(bytes), run);
    const meaning = new Meaning(steps);
    const socket = this.stage.connect();
    const seen = new Seen();
    const scanner = new FrameScanner();
    let ended = false;
    const onEnd = (): void => {
      ended = true;
    };
    socket.on('data', (chunk: Buffer) => {
      for (const frame of scanner.push(chunk)) seen.take(frame.type, frame.flags, frame.id, frame.payload);
    });
    for (const event of ['end', 'close']) socket.on(event, onEnd);
    socket.write(PREFACE);
    // Windows of any size, unless the script says otherwise.
    if (!meaning.throttled) socket.write(Buffer.concat([0, 1].map((at) => bytesOf(OPEN_WINDOWS[at] as Step) as Buffer)));
    for (const step of steps) {
      if (step.kind === 'wait') for (let i = 0; i < WAIT_TURNS; i++) await turn();
      const said = bytesOf(step);
      if (said !== null && !socket.destroyed) socket.write(said);
      if (step.kind === 'fin') socket.end();
      if (step.kind === 'rst') socket.resetAndDestroy();
      if (step.kind === 'fin' || step.kind === 'rst') break;
    }
    if (!meaning.broken && !meaning.throttled) {
      const awaited = [...meaning.requests.values()].filter((request) => request.ended && !request.reset && !pathIs(request, '/hang'));
      await until(() => {
        const missing = ended ? undefined : awaited.find(({ id }) => !seen.over.has(id));
        return missing === undefined ? null : 'a request that was sent whole gets no answer';
      });
    }
    for (let i = 0; i < WAIT_TURNS; i++) await turn();
    socket.destroy();
    await this.stage.atRest();
    const got = [...this.http1.got.splice(0), ...this.http2.got.splice(0)];
    const unreadable = this.http1.unreadable.splice(0);
    assert.deepEqual(unreadable, [], 'the application can read what it is sent');
    judgeRequests(got, meaning, run);
    seen.judge(meaning, run);
  }
}

const OPEN_WINDOWS: readonly Step[] = [
  { kind: 'settings', values: [[4, 0x7fffffff]] },
  { kind: 'plain', bytes: Buffer.from('0000040800000000003fffffff', 'hex') },
];

/** Each request says which one it is. */
function tagged(steps: readonly Step[], run: string): Step[] {
  const opened = new Set<number>();
  return steps.map((step) => {
    if (step.kind !== 'headers' || opened.has(step.id)) return step;
    opened.add(step.id);
    return { ...step, fields: [...step.fields.filter(([name]) => name.toLowerCase() !== TAG), [TAG, `${run}-${step.id}`] as const] };
  });
}

/** What an application got is what a client meant. */
function judgeRequests(got: readonly GotRequest[], meaning: Meaning, run: string): void {
  const times = new Map<number, number>();
  for (const request of got) {
    const [from, id = ''] = tagOf(request).split('-');
    const meant = from === run ? meaning.requests.get(Number(id)) : undefined;
    if (meant === undefined) {
      assert(meaning.broken, `the application got a request that nobody made: ${request.method} ${request.target.slice(0, 40)}`);
      continue;
    }
    if (meant.touched) continue;
    times.set(meant.id, (times.get(meant.id) ?? 0) + 1);
    assertSame(request, meant);
  }
  for (const [id, count] of times) {
    const meant = meaning.requests.get(id) as MeantRequest;
    assert(count === 1 || pathIs(meant, '/cut'), 'the application got one request twice');
  }
}

function assertSame(got: GotRequest, meant: MeantRequest): void {
  const pseudo = (name: string): string | undefined => valuesOf(meant.fields, name).at(-1);
  assert.equal(got.method, pseudo(':method'), 'the method');
  assert.equal(got.target, pseudo(':path'), 'the target');
  const host = valuesOf(got.fields, 'host')[0] ?? valuesOf(got.fields, ':authority')[0];
  assert.equal(host?.toLowerCase(), (pseudo(':authority') ?? pseudo('host'))?.toLowerCase(), 'the host');
  const body = Buffer.concat(got.body);
  const all = Buffer.concat(meant.body);
  if (got.complete) {
    // With all the bytes that it said beforehand it is whole where it goes on as HTTP/1.1, whose framing has no other end.
    const told = valuesOf(meant.fields, 'content-length').some((length) => Number(length) === all.length);
    assert(told || (meant.ended && !meant.brokenOff), 'a request that was broken off is whole for the application');
    assert(body.equals(all), `the body: ${body.length} bytes for ${all.length}`);
  } else assert(all.subarray(0, body.length).equals(body), 'a part of the body');
  assertFields(got.fields, meant.fields, 'a header');
  if (got.complete) assertFields(got.trailers, meant.trailers, 'a trailer', false);
}

/** Names and their values, several of one name as one list. */
function assertFields(got: readonly Field[], meant: readonly Field[], what: string, all = true): void {
  for (const name of new Set(got.map(([given]) => given.toLowerCase()))) {
    if (REWRITTEN.has(name)) continue;
    assert.equal(listOf(got, name), listOf(meant, name), `${what} that the client did not send so: ${name.slice(0, 30)}`);
  }
  if (!all) return;
  for (const name of new Set(meant.map(([given]) => given.toLowerCase()))) {
    if (REWRITTEN.has(name) || name.startsWith(':')) continue;
    assert(valuesOf(got, name).length > 0, `${what} that the client sent is missing: ${name.slice(0, 30)}`);
  }
}

function listOf(fields: readonly Field[], name: string): string {
  const values = valuesOf(fields, name).map((value) => value.trim());
  return values.join(name === 'cookie' ? '; ' : ', ').replace(/\s*,\s*/g, ', ');
}

function pathIs({ fields }: MeantRequest, path: string): boolean {
  return valuesOf(fields, ':path').at(-1)?.split('?')[0] === path;
}

/** What the node said, stream by stream. */
class Seen {
  /** Streams that have ended, in order or not. */
  readonly over = new Set<number>();
  readonly #inOrder = new Set<number>();
  readonly #bodies = new Map<number, Buffer[]>();
  readonly #faults: string[] = [];

  take(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === Type.RST_STREAM) this.over.add(id);
    if (type !== Type.DATA && type !== Type.HEADERS) return;
    if (this.over.has(id)) this.#faults.push('more of an answer behind its end');
    const padded = (flags & 8) === 0 ? payload : payload.subarray(1, payload.length - (payload[0] ?? 0));
    if (type === Type.DATA) this.#bodies.set(id, [...(this.#bodies.get(id) ?? []), padded]);
    if ((flags & END_STREAM) === 0) return;
    this.over.add(id);
    this.#inOrder.add(id);
  }

  judge(meaning: Meaning, run: string): void {
    assert.deepEqual(this.#faults, []);
    for (const [id, parts] of this.#bodies) {
      const text = Buffer.concat(parts).toString('latin1');
      const tag = /^echo (\S+?)l*$/.exec(text.slice(0, 60))?.[1];
      assert(tag === undefined || tag === `${run}-${id}`, 'an answer that belongs to another request');
    }
    for (const request of meaning.requests.values()) {
      const cut = pathIs(request, '/cut') && this.#bodies.has(request.id) && this.#inOrder.has(request.id);
      const text = Buffer.concat(this.#bodies.get(request.id) ?? []).toString('latin1');
      assert(!cut || !text.startsWith('echo'), 'an answer that was cut off is whole for the client');
    }
  }
}

let play: Play | null = null;

const REQUEST = `:method=GET|:path=/|:scheme=http|:authority=${HTTP1}`;
const POST = `:method=POST|:path=/|:scheme=http|:authority=${HTTP1}`;
const paths = ['/early', '/hang', '/cut', '/large', '/trailers', '/hints', '/none'];

export const HTTP2_CLIENT: Target = {
  name: 'http2-client',
  sources: ['/src/node/', '/src/linker/', '/src/link/'],
  pace: 'sockets',
  lines: true,
  words: [
    ...paths.flatMap((path) => [`:path=${path}`, path]),
    ...['headers 1 e ', 'headers 3 - ', 'headers 5 . ', 'continuation 3 ', 'data 1 e ', 'data 3 . ', 'data 1 . *20000', 'data 1 e *70000'],
    ...['reset 1 0', 'reset 1 8', 'reset 3 5', 'settings 4=0', 'settings 4=65535', 'settings 1=0', 'settings 5=16384', 'settings ack'],
    ...['ping', 'ping ack', 'window 0 1000', 'window 1 2147483647', 'window 1 0', 'goaway 0 0', 'goaway 1 2', 'wait', 'fin', 'rst'],
    ...[
      'raw 2 0 1 0000000310',
      'raw 5 4 1 0000000282',
      'raw 10 0 0 00',
      'raw 16 0 0 0000000175',
      'raw 0 8 1 05aabb',
      'raw 0 1 1 ',
      'bytes 00',
    ],
    ...[
      '|te=trailers',
      '|te=Trailers',
      '|content-length=5',
      '|content-length=0',
      '|host=app.test',
      '|cookie=a=b',
      '|cookie=c',
      '|x-a=~9000',
    ],
    ...['|connection=close', '|transfer-encoding=chunked', '|upgrade=h2c', '|expect=100-continue', '|x-a=\\r\\nb: c', '|x-a=\\0', '|X-A=b'],
    ...['|__proto__=a', '|constructor=b', '|x-a=b', '|x-a=', '|:method=GET', '|:path=*', '|:protocol=websocket', '|http2-settings=AA'],
    ...[HTTP1, HTTP2, ':authority=1.2.3.4.5', ':authority=[::::]', ':method=CONNECT', ':method=HEAD', ':method=OPTIONS', ':scheme=https'],
    ...['x-forwarded-for=1.2.3.4', 'authorization=a', 'trailer=x-b', 'x-b=c', '\\xe9', '~', '|', '='],
  ],
  seeds: [
    `headers 1 e ${REQUEST}\n`,
    `headers 1 . ${POST}\ndata 1 . hello\nwait\ndata 1 e world\n`,
    `headers 1 . ${POST}|content-length=5\ndata 1 e hello\n`,
    `headers 1 . ${POST}\ndata 1 . hello\nheaders 1 e x-sum=1\n`,
    `headers 1 . ${POST}\ndata 1 . *20000\nwait\nreset 1 0\n`,
    `headers 1 . ${POST}\ndata 1 . hello\nwait\nfin\n`,
    `headers 1 . ${POST}\ndata 1 . hello\nwait\ngoaway 0 0\nfin\n`,
    `headers 1 - ${REQUEST}\ncontinuation 1 x-a=b\n`,
    `headers 1 e ${REQUEST}|te=trailers|cookie=a=b|cookie=c=d|x-a=b|x-a=c\n`,
    `headers 1 e ${REQUEST}\nheaders 3 e ${REQUEST}\nheaders 5 . ${POST}\nsettings 3=1\nping\ndata 5 e a\n`,
    ...paths.map(
      (path) => `headers 1 e ${REQUEST.replace('=/', `=${path}`)}\nheaders 3 . ${POST.replace('=/', `=${path}`)}\ndata 3 e *30000\n`,
    ),
  ]
    .flatMap((text) => [text, text.replaceAll(HTTP1, HTTP2)])
    .map(latin1),
  async run(bytes) {
    play ??= await Play.open();
    await play.run(bytes);
  },
  async restart() {
    await play?.close();
    play = null;
  },
};
