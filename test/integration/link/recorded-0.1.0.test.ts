/**
 * What a linker and a node of pullproxy 0.1.0 said to each other, recorded on the wire between both (recorded-0.1.0.json: a link, a GET, a
 * POST, and the linker is drained). Each side's frames are played to the other side as it is now. Only the proofs are made anew, since they cover
 * what the other side says.
 */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { type ApplicationResponse, ask } from '../../support/clients.ts';
import { SECRET, startLinker, startNode, state } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { RawSocket } from '../../support/raw-socket.ts';

interface Recorded {
  readonly from: 'linker' | 'node';
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: string;
}

const RECORDED = JSON.parse(readFileSync(new URL('./recorded-0.1.0.json', import.meta.url), 'utf8')) as (
  | Recorded
  | { readonly mark: string }
)[];
const RECORDED_SECRET = 'a secret of 0.1.0';
const ROUTE = 'old.example.com';
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** By their numbers in 0.1.0, which ends a link on which one of another type comes. */
const [HELLO, CHALLENGE, PROOF, WELCOME, GRANT, RECALL, RETURN, OPEN, DATA, DONE, NEWEST, PING, STATE] = [
  0, 1, 2, 3, 5, 6, 7, 10, 11, 15, 16, 17, 22,
];
const TYPE_MAX = 25;

/** What was said between two marks. */
function part(mark: string, from: Recorded['from']): Recorded[] {
  const at = RECORDED.findIndex((one) => 'mark' in one && one.mark === mark);
  const before = RECORDED.slice(0, at).findLastIndex((one) => 'mark' in one);
  return RECORDED.slice(before + 1, at).filter((one): one is Recorded => 'from' in one && one.from === from);
}

/** As 0.1.0 made it. */
function proof(secret: string, role: string, hello: string, node: string, nonce: string): string {
  return createHmac('sha256', secret)
    .update(`pullproxy link ${role}\n${Buffer.byteLength(hello)}\n${hello}\n${node.length}\n${node}\n${nonce}`)
    .digest('base64url');
}

/** One end of a link, frame by frame. */
class Peer {
  readonly #raw: RawSocket;
  readonly came: Recorded[] = [];
  /** Nobody has waited for them. */
  readonly #passed: Recorded[] = [];
  readonly #from: Recorded['from'];

  constructor(raw: RawSocket, from: Recorded['from']) {
    this.#raw = raw;
    this.#from = from;
  }

  say({ type, flags, stream, payload }: Omit<Recorded, 'from'>): void {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(payload.length);
    head[0] = (type << 3) | flags;
    head.writeUInt32BE(stream, 4);
    this.#raw.send(Buffer.concat([head, Buffer.from(payload, 'latin1')]));
  }

  json(type: number, what: object): void {
    this.say({ type, flags: 0, stream: 0, payload: JSON.stringify(what) });
  }

  async next(): Promise<Recorded> {
    const head = await this.#raw.take(8);
    const payload = (await this.#raw.take(head.readUIntBE(1, 3))).toString('latin1');
    const first = head[0] as number;
    const frame = { from: this.#from, type: first >> 3, flags: first & 7, stream: head.readUInt32BE(4), payload };
    expect(frame.type).toBeLessThanOrEqual(TYPE_MAX);
    this.came.push(frame);
    return frame;
  }

  /** The next of this type; others may come before. */
  async until(type: number, stream = 0): Promise<Recorded> {
    const isIt = (frame: Recorded): boolean => frame.type === type && frame.stream === stream;
    for (;;) {
      const at = this.#passed.findIndex(isIt);
      const [frame] = at === -1 ? [] : this.#passed.splice(at, 1);
      if (frame !== undefined) return frame;
      this.#passed.push(await this.next());
    }
  }
}

test('the proofs of the recording are made as here', () => {
  const [hello, said] = part('linked', 'linker');
  const [challenge] = part('linked', 'node');
  const { node, nonce, proofs } = JSON.parse(challenge?.payload ?? '');
  expect(JSON.parse(said?.payload ?? '')).toEqual({ proof: proof(RECORDED_SECRET, 'linker', hello?.payload ?? '', node, nonce) });
  expect(proofs).toContain(proof(RECORDED_SECRET, 'node', hello?.payload ?? '', node, nonce));
});

test('a linker of 0.1.0 serves through a node of today', async () => {
  const node = await startNode(null, ['--link-version-min', '1']);
  const socket = connect({ port: Number(node.backend.split(':')[1]), host: '127.0.0.1', allowHalfOpen: true });
  ends.push(() => socket.destroy());
  const linker = new Peer(new RawSocket(socket), 'node');
  const [hello, , ...states] = part('linked', 'linker') as [Recorded, Recorded, ...Recorded[]];
  linker.say(hello);
  const challenge = JSON.parse((await linker.until(CHALLENGE)).payload);
  linker.json(PROOF, { proof: proof(SECRET, 'linker', hello.payload, challenge.node, challenge.nonce) });
  await linker.until(WELCOME);
  for (const frame of states) linker.say(frame);
  const instance = JSON.parse(hello.payload).instance as string;
  await eventually('it is known', async () => {
    const [route] = (await state(node)).routes;
    expect(route).toMatchObject({ name: ROUTE, slots: 2, instances: [{ id: instance, concurrency: 2, state: 'ready' }] });
    return true;
  });

  // It counts one slot for each stream, and hears nothing of costs: the node keeps its other slot.
  const settings = {
    method: 'PUT',
    body: JSON.stringify({ costBy: ['GET *=2', 'PUT *=3'] }),
    headers: { 'content-type': 'application/json' },
  };
  expect((await fetch(`${node.admin}/api/v1/routes/${ROUTE}`, settings)).status).toBe(200);
  await eventually('more than it can have is refused', async () => (await ask(node.url, { host: ROUTE, method: 'PUT' })).status === 413);
  const asks = new Map<string, Promise<ApplicationResponse>>();
  for (const [method, body, served] of [
    ['GET', '', 'served GET '],
    ['POST', 'some bytes', 'served POST some bytes'],
  ] as const) {
    const answered = asks.get(method) ?? ask(node.url, { host: ROUTE, method, body });
    const said = part(method, 'linker');
    const { stream } = said.find(({ type }) => type === DATA) as Recorded;
    expect((await linker.until(OPEN, stream)).payload).toContain(`${method} / HTTP/1.1\r\n`);
    if (method === 'GET') {
      asks.set('POST', ask(node.url, { host: ROUTE, method: 'POST', body: 'some bytes' }));
      await eventually('the other one waits for a slot', async () => (await state(node)).routes[0]?.held === 1);
    }
    for (const frame of said) linker.say(frame);
    expect(await answered).toMatchObject({ status: 200, body: served });
    expect(await linker.until(DONE, stream)).toMatchObject({ flags: 1 });
  }

  for (const frame of part('drained', 'linker')) linker.say(frame);
  expect((await linker.until(RETURN)).payload).toBe('\0\0\0\u0002');
  socket.destroy();
  await eventually('it is gone', async () => (await state(node)).routes.every(({ instances }) => instances.length === 0));
  await node.stop();
});

test('a linker of today serves through a node of 0.1.0', async () => {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => server.close());
  const accepted = once(server, 'connection');
  // It says a limit below its concurrency, and one above what a node of 0.1.0 knows.
  const app = `require('node:http').createServer((request, response) => {
    let body = '';
    request.on('data', (part) => { body += part; });
    request.on('end', () => response.setHeader('pullproxy-concurrency', request.method === 'GET' ? '1' : '9').end('served ' + request.method + ' ' + body));
  }).listen(process.env.PORT, '127.0.0.1')`;
  const starting = startLinker({
    proxies: [`127.0.0.1:${(server.address() as AddressInfo).port}`],
    route: ROUTE,
    concurrency: 2,
    app: [process.execPath, '-e', app],
    args: ['--link-version-min', '1'],
  });
  const [socket] = await accepted;
  ends.push(() => socket.destroy());
  const node = new Peer(new RawSocket(socket), 'linker');
  const { payload: hello } = await node.until(HELLO);
  // 0.1.0 accepts its own version only, and looks at these.
  expect(JSON.parse(hello)).toMatchObject({ v: 1, route: ROUTE, instance: expect.any(String), seq: expect.any(Number), concurrency: 2 });
  const nonce = 'a nonce of the node';
  node.json(CHALLENGE, { v: 1, node: 'recorded', nonce, proofs: [proof(SECRET, 'node', hello, 'recorded', nonce)] });
  const { proof: said } = JSON.parse((await node.until(PROOF)).payload);
  expect(said).toBe(proof(SECRET, 'linker', hello, 'recorded', nonce));
  for (const frame of part('linked', 'node').filter(({ type }) => type === WELCOME || type === NEWEST)) node.say(frame);
  expect((await node.until(GRANT)).payload).toBe('\0\0\0\u0002');
  const linker = await starting;

  for (const [method, served] of [
    ['GET', 'served GET '],
    ['POST', 'served POST some bytes'],
  ] as const) {
    const frames = part(method, 'node').filter(({ type }) => type !== PING);
    for (const frame of frames.filter(({ type }) => type !== DONE)) node.say(frame);
    const [open, done] = [frames.find(({ type }) => type === OPEN), frames.find(({ type }) => type === DONE)] as [Recorded, Recorded];
    expect((await node.until(DATA, open.stream)).payload).toContain(served);
    node.say(done);
    if (method === 'GET') {
      // One of its two slots is wanted back, and it comes.
      expect((await node.until(RECALL)).payload).toBe('\0\0\0\u0001');
      node.say({ type: RETURN, flags: 0, stream: 0, payload: '\0\0\0\u0001' });
    } else {
      // No more than it said in its HELLO: the node would end the link.
      expect((await node.until(GRANT)).payload).toBe('\0\0\0\u0001');
    }
  }
  linker.kill('SIGTERM');
  expect((await node.until(RECALL)).payload).toBe('\0\0\0\u0002');
  for (const frame of part('drained', 'node')) node.say(frame);
  expect((await linker.exit).code).toBe(0);
  const states = node.came.filter(({ type }) => type === STATE).map(({ payload }) => JSON.parse(payload).state as string);
  expect(new Set(states)).toEqual(new Set(['starting', 'ready', 'draining']));
});
