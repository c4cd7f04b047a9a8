/** What is checked of a linker. Each check has a fresh process. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Flag, Frame } from '../../src/link/frames.ts';
import { parseReport } from '../../src/link/instance-report.ts';
import { writeMove } from '../../src/link/move.ts';
import { prove } from '../../src/link/proof.ts';
import { EMPTY, frameBytes, headBytes, u32 } from '../support/harness/link-wire.ts';
import { request, upload } from './http.ts';
import { LinkerUnderTest, type NodeSide } from './node-side.ts';
import { oversend, peerChecks } from './peer-checks.ts';
import { Broken, type RuleId } from './rules.ts';
import { type SeenStream, WAIT_MS, WINDOW } from './wire.ts';

type Check = (linker: LinkerUnderTest) => Promise<void>;

const SECOND = 1_000;

export const LINKER_CHECKS: Partial<Record<RuleId, Check>> = {
  async hello(linker) {
    await (await linker.accept('hello')).takeHello();
  },

  async 'hello-nonce'(linker) {
    const first = await linker.link();
    first.close();
    const second = await linker.link('dial-again', {}, false);
    if (first.nonce === second.nonce) throw new Broken('hello-nonce', 'two links have the same nonce');
  },

  async version(linker) {
    const side = await linker.accept('version');
    await side.takeHello();
    side.sendJson(Frame.CHALLENGE, { v: 99, can: [], node: 'kit', nonce: 'n'.repeat(32) });
    await side.ends('version', 'CHALLENGE of version 99 was sent');
    if (side.count(Frame.PROOF) > 0) throw new Broken('version', 'a CHALLENGE of version 99 got a PROOF');
  },

  async proof(linker) {
    await (await linker.accept('proof')).shake();
  },

  async 'peer-proof'(linker) {
    const side = await linker.accept('peer-proof');
    const { expected } = await side.challenge();
    // A node that only repeats what it heard must not pass.
    await side.welcome(prove(linker.settings.secret, 'linker', expected));
    await side.ends('peer-proof', 'WELCOME had a wrong proof', 4 * SECOND);
    const early = side.frames.find(({ type }) => type !== Frame.REFUSE);
    if (early !== undefined) throw new Broken('peer-proof', `frame type ${early.type} was sent before the node had proved the secret`);
  },

  async 'unknown-keys'(linker) {
    const side = await linker.accept('unknown-keys');
    await side.shake({ challenge: { can: ['from-the-future'], extra: { a: [1] } } }, 'unknown-keys');
    await side.until('unknown-keys', 'slots are lent', () => side.lent > 0);
  },

  async 'handshake-bytes'(linker) {
    const side = await linker.accept('handshake-bytes');
    await side.takeHello();
    side.socket.write(headBytes(Frame.CHALLENGE, 4_097));
    await side.ends('handshake-bytes', 'a CHALLENGE of 4,097 bytes was announced', 4 * SECOND);
  },

  async 'handshake-time'(linker) {
    const side = await linker.accept('handshake-time');
    await side.takeHello();
    side.isAlive = false;
    await side.ends('handshake-time', 'no CHALLENGE was sent', 9 * SECOND);
  },

  async 'frame-parts'(linker) {
    const side = await linker.link('frame-parts', { trickles: true });
    const stream = side.open(EMPTY);
    await side.trickle(frameBytes(Frame.DATA, request(side.route, '/hello'), stream.id));
    await side.response('frame-parts', stream);
    side.done(stream);
    // And several in one piece.
    const two = [side.get('/hello'), side.get('/hello')];
    for (const each of two) await side.response('frame-parts', each);
  },

  async 'frame-type'(linker) {
    const side = await linker.link();
    side.send(Frame.GRANT, u32(1));
    await side.ends('frame-type', 'the node has sent GRANT', 4 * SECOND);
  },

  async 'frame-again'(linker) {
    const side = await linker.link();
    side.sendJson(Frame.WELCOME, { proof: 'x'.repeat(43) });
    await side.ends('frame-again', 'WELCOME was sent again', 4 * SECOND);
  },

  async 'frame-number'(linker) {
    const side = await linker.link();
    await side.until('frame-number', 'slots are lent', () => side.lent > 0);
    side.send(Frame.RETURN, Buffer.from([0, 0, 0, 1, 0]));
    await side.ends('frame-number', 'a RETURN of 5 bytes was sent', 4 * SECOND);
  },

  async home(linker) {
    const side = await linker.link();
    const [first] = side.frames;
    if (first?.type !== Frame.STATE) throw new Broken('home', `the first frame after WELCOME has type ${first?.type}`);
    try {
      const { home } = parseReport(first.payload);
      if (!home) throw new Error('`home` is false on the only link');
    } catch (error) {
      throw new Broken('home', (error as Error).message);
    }
  },

  async 'grant-limit'(linker) {
    const side = await linker.link();
    const stream = side.get('/wait/600');
    side.giveBack(side.idle);
    await side.response('serve', stream);
    side.done(stream);
    await side.staysUp('grant-limit', 'slots came back', 500);
    if (side.lent > side.hello.concurrency) throw new Broken('grant-limit', `${side.lent} slots are lent`);
  },

  async 'lend-again'(linker) {
    const side = await linker.link();
    for (let times = 0; times < 3; times++) {
      side.giveBack(side.idle);
      await side.until('lend-again', 'slots that came back are lent again', () => side.lent === side.hello.concurrency);
    }
    await side.serves('lend-again');
  },

  async 'open-limit'(linker) {
    const side = await linker.link();
    for (let slots = side.lent; slots >= 0; slots--) side.get('/wait/4000');
    await side.ends('open-limit', 'one stream more than slots was opened', 3 * SECOND);
  },

  async 'open-twice'(linker) {
    const side = await linker.link();
    const stream = side.get('/wait/4000');
    side.send(Frame.OPEN, request(side.route, '/hello'), stream.id);
    await side.ends('open-twice', 'the same stream was opened twice', 3 * SECOND);
  },

  async 'return-limit'(linker) {
    const side = await linker.link();
    side.get('/wait/4000');
    side.send(Frame.RETURN, u32(side.lent));
    await side.ends('return-limit', 'a slot in use was returned', 3 * SECOND);
  },

  async serve(linker) {
    const side = await linker.link();
    await side.serves('serve');
    const streams = Array.from({ length: side.lent }, () => side.open(upload(side.route, '/echo', 9)));
    for (const part of ['abc', 'def', 'ghi']) for (const stream of streams) await side.sendAll('serve', stream, Buffer.from(part));
    for (const stream of streams) {
      const { status, body } = await side.response('serve', stream);
      if (status !== 200 || body.toString() !== 'abcdefghi') throw new Broken('serve', `POST /echo was answered with ${status} ${body}`);
      side.done(stream);
    }
  },

  async 'done-keep'(linker) {
    const side = await linker.link();
    const over: SeenStream[] = [];
    const running = Array.from({ length: side.lent }, () => side.get('/hello'));
    for (let turn = 0; turn < 40; turn++) {
      const stream = running.shift() as SeenStream;
      await side.response('done-keep', stream);
      side.done(stream);
      over.push(stream);
      running.push(side.get('/hello'));
    }
    for (const stream of running) {
      await side.response('done-keep', stream);
      side.done(stream);
    }
    const ids = new Set(over.map(({ id }) => id));
    const late = side.frames.find(({ type, streamId }) => ids.has(streamId) && type !== Frame.WINDOW);
    if (late !== undefined) throw new Broken('done-keep', `frame type ${late.type} on stream ${late.streamId} after its DONE with KEEP`);
    await mostIsWithin(side, 'done-keep');
  },

  async 'done-close'(linker) {
    const side = await linker.link();
    for (let turn = 0; turn < 5; turn++) {
      const streams = Array.from({ length: side.lent }, () => side.get('/hello'));
      for (const stream of streams) await side.response('done-close', stream);
      for (const stream of streams) side.send(Frame.DONE, EMPTY, stream.id);
      for (const stream of streams) {
        await side.until('done-close', 'RESET follows DONE without KEEP', () => stream.reset !== null);
        if (stream.reset?.code !== 0) throw new Broken('done-close', `the RESET has code ${stream.reset?.code}, not CLOSED`);
      }
    }
  },

  async reset(linker) {
    const side = await linker.link();
    const streams = Array.from({ length: side.lent }, () => side.open(upload(side.route, '/echo', 1_000)));
    await side.staysUp('reset', 'streams were opened', 100);
    for (const stream of streams) await side.cancel('reset', stream);
    await side.serves('reset');
    await side.staysUp('reset', 'streams were reset', 200);
  },

  async 'late-frames'(linker) {
    const side = await linker.link();
    const late = [[Frame.DATA, Buffer.from('x')], [Frame.END], [Frame.WINDOW, u32(5)], [Frame.DONE], [Frame.RESET, u32(3)]] as const;
    for (const [type, payload] of late) side.send(type, payload, 4_711);
    await side.serves('late-frames');
  },

  async 'window-kept'(linker) {
    const side = await linker.link();
    const stream = side.get('/bytes/3000000');
    stream.isRead = false;
    await side.until('window-kept', 'a window of the response', () => stream.bytes > WINDOW / 2);
    await side.serves('window-kept');
    await side.staysUp('window-kept', 'no credit was given', 300);
    stream.isRead = true;
    side.give(stream);
    const { body } = await side.response('window-kept', stream);
    if (body.length !== 3_000_000) throw new Broken('window-kept', `${body.length} bytes of 3,000,000 came`);
  },

  async 'window-given'(linker) {
    const side = await linker.link();
    const content = Buffer.alloc(2_000_000, 'pullproxy ');
    const stream = side.open(upload(side.route, '/echo', content.length));
    await side.sendAll('window-given', stream, content);
    const { body } = await side.response('window-given', stream);
    if (!body.equals(content)) throw new Broken('window-given', 'the application did not get the bytes that were sent');
  },

  async 'window-limit'(linker) {
    const side = await linker.link();
    const stream = side.open(upload(side.route, '/wait/8000', 1e9));
    await oversend('window-limit', side, stream);
  },

  async exact(linker) {
    const first = await linker.link();
    for (let slots = first.lent; slots > 0; slots--) first.get('/wait/1500');
    await first.staysUp('exact', 'all slots are in use', 150);
    first.close();
    const second = await linker.link('dial-again', {}, false);
    const by = performance.now() + 4 * SECOND;
    while (performance.now() < by) {
      while (second.idle > 0 && second.streams.size < 64) second.get('/wait/200');
      await second.staysUp('exact', 'the linker has dialled again', 20);
      for (const stream of [...second.streams.values()]) if (stream.bytes > 0) second.done(stream);
    }
    for (const stream of [...second.streams.values()]) {
      await second.response('exact', stream);
      second.done(stream);
    }
    await second.until('lend-again', 'slots of a lost link are lent again', () => second.lent === second.hello.concurrency);
    await mostIsWithin(second, 'exact');
  },

  async 'dial-again'(linker) {
    (await linker.link()).close();
    await (await linker.link('dial-again')).serves('dial-again');
  },

  async move(linker) {
    const side = await linker.link();
    const other = new LinkerUnderTest({ ...linker.settings, port: 0, command: [] });
    await other.start();
    try {
      side.lent--;
      side.send(Frame.MOVE, writeMove({ count: 1, address: other.address }));
      const second = await other.accept('move');
      await second.shake({ node: 'other' }, 'move');
      if (second.at !== other.address) throw new Broken('move', `HELLO has at: ${second.at}, and ${other.address} was named`);
      await second.until('move', 'the slot is granted at the other node', () => second.lent > 0);
      await second.serves('move');
      if (second.lent + side.lent > side.hello.concurrency) throw new Broken('grant-limit', 'a slot is lent to two nodes');
    } finally {
      other.stop();
    }
  },

  async 'move-failed'(linker) {
    const side = await linker.link();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const payload = writeMove({ count: 1, address: `127.0.0.1:${(server.address() as { port: number }).port}` });
    await new Promise((resolve) => server.close(resolve));
    side.lent--;
    side.send(Frame.MOVE, payload);
    const failed = await side.take('move-failed', Frame.MOVE_FAILED, 'MOVE_FAILED for a port at which nobody listens');
    if (!failed.payload.equals(payload)) throw new Broken('move-failed', 'it has another payload than the MOVE');
    await side.until('move-failed', 'the slot is granted again', () => side.lent === side.hello.concurrency);
  },

  async goaway(linker) {
    const side = await linker.link();
    const stream = side.open(upload(side.route, '/echo', 4));
    side.send(Frame.GOAWAY);
    const other = await linker.link('goaway', { node: 'another' }, false);
    // As long as there is no other node, this one may be offered slots for whom it holds.
    const isLentElsewhere = (): boolean => {
      side.giveBack(side.idle);
      return other.lent > 0;
    };
    await other.until('goaway', 'slots are lent to another node', isLentElsewhere);
    // A GRANT may have been on its way here.
    await side.staysUp('goaway', 'GOAWAY was sent', 200);
    side.giveBack(side.idle);
    const grants = side.count(Frame.GRANT);
    await side.staysUp('goaway', 'GOAWAY was sent', SECOND);
    if (side.count(Frame.GRANT) > grants) throw new Broken('goaway', 'slots are granted after GOAWAY, though there is another node');
    await side.sendAll('goaway', stream, Buffer.from('last'));
    const { body } = await side.response('goaway', stream);
    if (body.toString() !== 'last') throw new Broken('goaway', 'the stream that was there did not go on');
  },

  async 'goaway-anew'(linker) {
    const side = await linker.link();
    side.send(Frame.GOAWAY, EMPTY, 0, Flag.ANEW);
    side.giveBack(side.idle);
    const again = await linker.link('goaway-anew', {}, false);
    await again.until('goaway-anew', 'slots are lent on the new link', () => again.lent > 0);
    await again.serves('goaway-anew');
  },

  async 'too-late'(linker) {
    const side = await linker.link('too-late', {}, false);
    side.send(Frame.GOAWAY, EMPTY, 0, Flag.TOO_LATE);
    await side.ends('too-late', 'GOAWAY with TOO_LATE was sent', WAIT_MS);
    if (side.lent > 0) throw new Broken('too-late', 'the slots were not recalled');
  },

  async retire(linker) {
    const side = await linker.link();
    side.send(Frame.RETIRE_ANSWER, EMPTY, 0, Flag.YES);
    await side.staysUp('retire', 'an answer to no RETIRE was sent', 700);
    await side.serves('retire');
  },

  async leave(linker) {
    const side = await linker.link();
    const stream = side.open(upload(side.route, '/echo', 4));
    await side.staysUp('leave', 'a request was sent', 100);
    linker.signal('SIGTERM');
    await side.until('leave', 'RECALL follows SIGTERM', () => side.count(Frame.RECALL) > 0);
    await side.until('leave', 'STATE says draining', () => side.frames.some(isDraining));
    await side.staysUp('leave', 'a request is being served', 500);
    if (side.lent > 1) throw new Broken('leave', `${side.lent} slots are lent, one is in use`);
    await side.sendAll('leave', stream, Buffer.from('last'));
    const { body } = await side.response('leave', stream);
    if (body.toString() !== 'last') throw new Broken('leave', 'the request that was there did not get its response');
    side.done(stream);
    await side.ends('leave', 'all slots are home', WAIT_MS);
  },

  ...peerChecks((linker: LinkerUnderTest) => linker.link()),
};

const isDraining = ({ type, payload }: { type: number; payload: Buffer }): boolean =>
  type === Frame.STATE && payload.toString().includes('"draining"');

async function mostIsWithin(side: NodeSide, rule: RuleId): Promise<void> {
  const most = Number(await side.ask(rule, '/most'));
  if (!(most >= 1 && most <= side.hello.concurrency)) {
    throw new Broken(rule, `the application had ${most} requests at once, the concurrency is ${side.hello.concurrency}`);
  }
}
