/** What is checked of a node. */
import { Frame, ResetCode } from '../../src/link/frames.ts';
import { writeMove } from '../../src/link/move.ts';
import { EMPTY, frameBytes, headBytes, u32 } from '../support/harness/link-wire.ts';
import { request, response, upload } from './http.ts';
import { CONCURRENCY, type NodeUnderTest } from './linker-side.ts';
import { jsonOf } from './node-side.ts';
import { oversend, peerChecks } from './peer-checks.ts';
import { Broken, type RuleId } from './rules.ts';
import { WINDOW } from './wire.ts';

type Check = (node: NodeUnderTest) => Promise<void>;

const SECOND = 1_000;
const BAD_HELLOS: readonly object[] = [
  { route: 'Not A Route' },
  { instance: 'UPPER' },
  { concurrency: 0 },
  { nonce: 'short' },
  { v: 'two' },
];

const IN_TRAILER =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Pullproxy-Concurrency\r\n\r\n6\r\nserved\r\n0\r\nPullproxy-Concurrency: 2\r\n\r\n';

export const NODE_CHECKS: Partial<Record<RuleId, Check>> = {
  // These come first: instances of other rules end without a response, and after some of them a node starts nothing for a while.
  async 'agent-link'(node) {
    for (const [type, payload, what] of [
      [Frame.GRANT, u32(1), 'GRANT was sent'],
      [Frame.STATE, Buffer.from('{"room":-1,"running":0}'), 'a STATE with a malformed room was sent'],
      [Frame.START, Buffer.from('{"startId":"s1","route":"r","how":"perhaps"}'), 'a START with a malformed answer was sent'],
    ] as const) {
      const side = await node.agent(0, 'agent-link');
      side.send(type, payload);
      await side.ends('agent-link', `${what} on the link of an agent`, 4 * SECOND);
    }
    const side = await node.agent(0, 'agent-link');
    side.answerStart({ startId: 'unknown', route: node.settings.route }, 'taken');
    await side.staysUp('agent-link', 'a start that was not given was answered', 200);
  },

  async 'agent-start'(node) {
    const side = await node.agent(1, 'agent-start');
    const client = await node.client();
    const start = await side.start('agent-start');
    if (start.route !== node.settings.route) throw new Broken('agent-start', `a START for ${JSON.stringify(start.route)}`);
    side.answerStart(start, 'taken');
    const instance = await node.link(CONCURRENCY, 'agent-start', { startId: start.startId });
    await instance.answer('agent-start', await instance.next('agent-start'));
    await client.gets('agent-start', instance, 'served');
    await side.staysUp('agent-start', 'its instance serves', 100);
    if (side.lent + side.opened.length > 0) throw new Broken('agent-start', 'a stream was opened on the link of an agent');
  },

  async 'agent-room'(node) {
    const side = await node.agent(0, 'agent-room');
    const client = await node.client();
    await side.staysUp('agent-room', 'a client waits, and there is no room', 1_500);
    if (side.count(Frame.START) > 0) throw new Broken('agent-room', 'a START reached an agent without room');
    side.sendJson(Frame.STATE, { room: 1, running: 0 });
    side.answerStart(await side.start('agent-room'), 'refused');
    const instance = await node.link(1, 'agent-room');
    await instance.answer('agent-room', await instance.next('agent-room'));
    await client.gets('agent-room', instance, 'served');
  },

  async challenge(node) {
    const known = await node.connect();
    const first = jsonOf('challenge', await known.challenge('challenge', known.hello()));
    const stranger = await node.connect();
    const second = jsonOf('challenge', await stranger.challenge('challenge', stranger.hello({ route: 'nobody.conformance.test' })));
    if (Object.keys(first).join() !== Object.keys(second).join())
      throw new Broken('challenge', 'a route that is not there has another CHALLENGE');
    if (first.nonce === second.nonce) throw new Broken('challenge', 'two CHALLENGEs have the same nonce');
  },

  async version(node) {
    const side = await node.connect();
    side.send(Frame.HELLO, side.hello({ v: 99, max: 99 }));
    await side.ends('version', 'HELLO of version 99 was sent');
    if (side.count(Frame.CHALLENGE) > 0) throw new Broken('version', 'a HELLO of version 99 got a CHALLENGE');
  },

  async proof(node) {
    await (await node.connect()).shake('proof');
  },

  async 'peer-proof'(node) {
    const side = await node.connect();
    await side.challenge('peer-proof', side.hello());
    side.sendJson(Frame.PROOF, { proof: 'x'.repeat(43) });
    await side.ends('peer-proof', 'PROOF was wrong', 4 * SECOND);
    const early = side.frames.find(({ type }) => type !== Frame.REFUSE);
    if (early !== undefined) throw new Broken('peer-proof', `a wrong PROOF got frame type ${early.type}`);
  },

  async 'unknown-keys'(node) {
    const side = await node.link(1, 'unknown-keys', { can: ['from-the-future'], extra: [{}] });
    await side.serves('unknown-keys', node);
  },

  async 'bad-hello'(node) {
    for (const bad of BAD_HELLOS) {
      const side = await node.connect();
      side.send(Frame.HELLO, side.hello(bad));
      await side.ends('bad-hello', `HELLO had ${JSON.stringify(bad)}`, 3 * SECOND);
    }
  },

  async 'dialled-address'(node) {
    const side = await node.connect();
    await side.shake('dialled-address', { at: '192.0.2.1:9080' }).then(
      () => {
        throw new Broken('dialled-address', 'a linker that dialled another node was welcomed');
      },
      () => side.ends('dialled-address', 'HELLO said that another node was dialled', 3 * SECOND),
    );
  },

  async 'handshake-bytes'(node) {
    const side = await node.connect();
    side.socket.write(headBytes(Frame.HELLO, 4_097));
    await side.ends('handshake-bytes', 'a HELLO of 4,097 bytes was announced', 4 * SECOND);
  },

  async 'handshake-time'(node) {
    const side = await node.connect();
    await side.challenge('handshake-time', side.hello());
    await side.ends('handshake-time', 'no PROOF was sent', 9 * SECOND);
  },

  async 'frame-parts'(node) {
    const side = await node.connect();
    await side.shake('frame-parts', {}, true);
    await side.trickle(frameBytes(Frame.GRANT, u32(1)));
    side.lent = 1;
    const client = await node.client();
    const stream = await side.next('frame-parts');
    const bytes = response('in parts');
    stream.sent += bytes.length;
    await side.trickle(frameBytes(Frame.DATA, bytes, stream.id));
    await client.gets('frame-parts', side, 'in parts');
  },

  async 'frame-type'(node) {
    const side = await node.link();
    side.send(Frame.OPEN, EMPTY, 1);
    await side.ends('frame-type', 'the linker has sent OPEN', 4 * SECOND);
  },

  async 'frame-again'(node) {
    const side = await node.link();
    side.send(Frame.HELLO, side.hello());
    await side.ends('frame-again', 'HELLO was sent again', 4 * SECOND);
  },

  async 'frame-number'(node) {
    const side = await node.link(1);
    side.send(Frame.GRANT, Buffer.from([0, 0, 0, 1, 0]));
    await side.ends('frame-number', 'a GRANT of 5 bytes was sent', 4 * SECOND);
  },

  async state(node) {
    const side = await node.link();
    side.sendJson(Frame.STATE, { home: true, state: 'odd', active: 0 });
    await side.ends('state', 'a malformed STATE was sent', 3 * SECOND);
  },

  async 'grant-limit'(node) {
    const side = await node.link(0);
    side.grant(CONCURRENCY + 1);
    await side.ends('grant-limit', 'one slot more than the concurrency was granted', 3 * SECOND);
  },

  async 'open-limit'(node) {
    const side = await node.link(1);
    const clients = await Promise.all([node.client(), node.client(), node.client()]);
    for (const _ of clients) {
      const stream = await side.next('open-limit');
      await side.staysUp('open-limit', 'one slot was lent', 150);
      await side.answer('open-limit', stream);
    }
    for (const client of clients) await client.gets('open-limit', side, 'served');
  },

  async 'open-twice'(node) {
    const side = await node.link();
    const clients = await Promise.all(Array.from({ length: 20 }, () => node.client()));
    for (const _ of clients) await side.answer('open-twice', await side.next('open-twice'));
    for (const client of clients) await client.gets('open-twice', side, 'served');
  },

  async recall(node) {
    const side = await node.link(3);
    side.send(Frame.RECALL, u32(2));
    await side.until('recall', 'two idle slots come back', () => side.lent === 1);
    const client = await node.client();
    const stream = await side.next('recall');
    side.send(Frame.RECALL, u32(1));
    await side.staysUp('recall', 'a slot in use was recalled', 200);
    await side.answer('recall', stream);
    await client.gets('recall', side, 'served');
    await side.until('recall', 'the slot comes back when its stream is over', () => side.lent === 0);
  },

  async serve(node) {
    const side = await node.link();
    const content = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 251));
    const client = await node.client(Buffer.concat([upload(node.settings.route, '/', content.length), content]));
    const stream = await side.next('serve');
    await side.until(
      'serve',
      'the whole request',
      () => stream.bytes > content.length && stream.content.subarray(-content.length).equals(content),
    );
    await side.answer('serve', stream, content);
    await client.gets('serve', side, content);
  },

  async 'done-keep'(node) {
    const side = await node.link(1);
    for (let turn = 0; turn < 10; turn++) await side.serves('done-keep', node);
    await side.allIdle('done-keep');
    if (side.count(Frame.DONE) < 10) throw new Broken('done-keep', `${side.count(Frame.DONE)} DONEs for 10 responses`);
  },

  async reset(node) {
    const side = await node.link(1);
    const client = await node.client();
    const stream = await side.next('reset');
    client.socket.destroy();
    await side.until('reset', 'RESET when the client leaves', () => stream.reset !== null);
    await side.serves('reset', node);
  },

  async 'try-again'(node) {
    const side = await node.link();
    const client = await node.client();
    side.free(await side.next('try-again'), ResetCode.APP_REFUSED);
    await side.answer('try-again', await side.next('try-again'));
    await client.gets('try-again', side, 'served');
  },

  async 'half-close'(node) {
    const side = await node.link(1);
    const upgrade = 'Connection: Upgrade\r\nUpgrade: conformance\r\n';
    const client = await node.client(request(node.settings.route, '/', 'GET', upgrade));
    const stream = await side.next('half-close');
    await side.sendAll('half-close', stream, Buffer.from(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}\r\n`));
    await side.until('half-close', 'the client has its 101', () => client.text.includes('\r\n\r\n'));
    client.socket.end('the last word of the client');
    const isLast = (): boolean => stream.ended && stream.content.includes('the last word of the client');
    await side.until('half-close', 'END follows what the client said last', isLast);
    await side.staysUp('half-close', 'the client says no more', 150);
    await side.sendAll('half-close', stream, Buffer.from('and that of the application'));
    await side.until('half-close', 'the other direction goes on', () => client.text.endsWith('and that of the application'));
    side.send(Frame.END, EMPTY, stream.id);
    await side.until('half-close', 'the client is told the end', () => client.isOver);
    await side.allIdle('half-close');
    await side.serves('half-close', node);
  },

  async 'late-frames'(node) {
    const side = await node.link();
    const late = [
      [Frame.DATA, Buffer.from('x')],
      [Frame.END],
      [Frame.WINDOW, u32(5)],
      [Frame.CONNECTED, u32(5)],
      [Frame.RESET, u32(0)],
    ] as const;
    for (const [type, payload] of late) side.send(type, payload, 4_711);
    await side.serves('late-frames', node);
  },

  async 'window-kept'(node) {
    const side = await node.link();
    const content = Buffer.alloc(3_000_000, 'pullproxy ');
    const client = await node.client(Buffer.concat([upload(node.settings.route, '/', content.length), content]));
    const stream = await side.next('window-kept');
    stream.isRead = false;
    await side.until('window-kept', 'a window of the request', () => stream.bytes > WINDOW / 2);
    await side.serves('window-kept', node);
    await side.staysUp('window-kept', 'no credit was given', 300);
    stream.isRead = true;
    side.give(stream);
    await side.until('window-kept', 'the whole request', () => stream.bytes > content.length);
    await side.answer('window-kept', stream);
    await client.gets('window-kept', side, 'served');
  },

  async 'window-given'(node) {
    const side = await node.link();
    const content = Buffer.alloc(3_000_000, 'pullproxy ');
    const client = await node.client();
    await side.answer('window-given', await side.next('window-given'), content);
    await client.gets('window-given', side, content);
  },

  async 'window-limit'(node) {
    const side = await node.link();
    const client = await node.client();
    client.socket.pause();
    const stream = await side.next('window-limit');
    side.send(Frame.DATA, Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n'), stream.id);
    await oversend('window-limit', side, stream);
  },

  async flood(node) {
    const side = await node.link();
    side.socket.write(Buffer.concat(Array.from({ length: 20_000 }, () => frameBytes(Frame.PING))));
    await side.ends('flood', '20,000 PINGs were sent at once', 4 * SECOND);
  },

  async features(node) {
    const side = await node.link();
    for (let turn = 0; turn < 3; turn++) {
      const client = await node.client();
      const stream = await side.next('features');
      // In a trailer the node reads it, and would tell a linker with the feature `limits`.
      await side.sendAll('features', stream, Buffer.from(IN_TRAILER));
      await client.gets('features', side, 'served');
    }
    await side.staysUp('features', 'responses named a limit', 200);
  },

  async 'move-failed'(node) {
    const side = await node.link();
    side.send(Frame.MOVE_FAILED, writeMove({ count: 1, address: '192.0.2.1:9080' }));
    await side.ends('move-failed', 'MOVE_FAILED was sent, and nothing was moved', 3 * SECOND);
  },

  async retire(node) {
    const side = await node.link();
    side.send(Frame.RETIRE);
    await side.until('retire', 'RETIRE is answered', () => side.count(Frame.RETIRE_ANSWER) > 0);
  },

  ...peerChecks((node: NodeUnderTest) => node.link()),
};
