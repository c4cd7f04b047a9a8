/** What happens between a stream and the application's connection. */
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, ResetCode } from '../../../src/link/frames.ts';
import { WINDOW_BYTES } from '../../../src/link/stream.ts';
import type { LinkerOptions } from '../../../src/linker/linker-options.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, type FakeInstance, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { type AppPeer, closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n';

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
});

/** An instance of `concurrency` slots in front of `app`, all of them idle at the node. */
async function instanceOf(app: TcpApp, options: Partial<LinkerOptions> = {}): Promise<FakeInstance> {
  const node = await FakeNode.start();
  const { linker } = new RunningLinker({ proxies: [node.address], app: app.address, concurrency: 2, ...options });
  const instance = await node.instance();
  await linker.ready;
  await instance.idle(options.concurrency ?? 2);
  await eventually('the probe is closed', () => app.open === 0);
  return instance;
}

/** Answers every request at once. */
function answering(peer: AppPeer): void {
  peer.socket.on('data', () => peer.answer());
  peer.socket.on('end', () => peer.socket.end());
}

describe('reuse', () => {
  test('a kept connection serves the next stream', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    for (let i = 0; i < 5; i++) expect((await instance.get()).body).toBe('ok');
    expect(app.peers).toHaveLength(1);
  });

  test('the most recently used connection is taken first', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    const [first, second] = [instance.open(GET), instance.open(GET)];
    await Promise.all([first.answered(), second.answered()]);
    first.keep();
    second.keep();
    await instance.get('/third');
    expect((await app.peer(2)).text).toContain('/third');
  });

  test('FRESH gets a connection that no other stream used', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    await instance.get();
    await instance.get('/fresh', Flag.FRESH);
    expect((await app.peer(2)).text).toContain('/fresh');
    expect(app.peers[0]?.ended).toBe(false);
  });

  test('FRESH closes the oldest kept connection when there is no room, and never exceeds the concurrency', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    const [first, second] = [instance.open(GET), instance.open(GET)];
    await Promise.all([first.answered(), second.answered()]);
    first.keep();
    second.keep();
    await instance.get('/fresh', Flag.FRESH);
    expect(app.peers[0]?.ended).toBe(true);
    expect((await app.peer(3)).text).toContain('/fresh');
    expect(app.engagedMax).toBe(2);
  });

  test('FRESH waits until the application has really closed the connection that makes room', async () => {
    const app = await TcpApp.start((peer) => peer.socket.on('data', () => peer.answer()));
    const instance = await instanceOf(app, { concurrency: 1 });
    await instance.get();
    const visit = instance.open(GET, Flag.FRESH);
    await (await app.peer(1)).end();
    expect(app.accepted).toBe(2);
    app.peers[0]?.socket.end();
    await visit.answered();
    expect(app.engagedMax).toBe(1);
  });

  test('what can not be sent twice goes out on a kept connection that served a moment ago', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    await instance.get();
    const visit = instance.open(POST, Flag.CAREFUL);
    await visit.answered();
    expect(app.peers).toHaveLength(1);
  });

  test('what can not be sent twice does not go out on one that was idle for 500 ms', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    await instance.get();
    const keptAt = performance.now();
    await eventually('500 ms are over', () => performance.now() - keptAt > 520);
    const visit = instance.open(POST, Flag.CAREFUL);
    await visit.answered();
    expect((await app.peer(2)).text).toContain('POST');
  });

  test('a kept connection that the application ends is closed and not used again', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    await instance.get();
    app.peers[0]?.socket.end();
    await eventually('it is closed', () => app.peers[0]?.closed === true);
    expect((await instance.get()).body).toBe('ok');
    expect(app.peers).toHaveLength(2);
  });

  test('bytes that came before a request do not answer it, also when the linker reads the request first', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app, { concurrency: 1 });
    await instance.get();
    const visit = instance.open(GET);
    instance.link.link.writer.flush();
    app.peers[0]?.answer('poison');
    expect(await visit.wasReset()).toEqual({ code: ResetCode.APP_CLOSED, reached: true, reused: true });
    expect(visit.text).toBe('');
    expect((await instance.get()).body).toBe('ok');
    expect(app.peers).toHaveLength(2);
  });

  test('bytes on a kept connection never become the response of the next stream', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    await instance.get();
    // When this one is answered, the DONE of the one before it has arrived.
    await instance.get('/other', Flag.FRESH);
    app.peers[0]?.answer('poison');
    await (await app.peer(1)).end();
    const [third, fourth] = [instance.open(GET), instance.open(GET)];
    await Promise.all([third.answered(), fourth.answered()]);
    expect([third.body, fourth.body]).toEqual(['ok', 'ok']);
    expect(app.peers).toHaveLength(3);
  });

  test('a connection whose answer was not consumed to its end is not kept', async () => {
    const app = await TcpApp.start((peer) => {
      peer.socket.once('data', () => peer.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok${'x'.repeat(4 * WINDOW_BYTES)}`));
      peer.socket.on('end', () => peer.socket.end());
    });
    const instance = await instanceOf(app);
    const visit = instance.open(GET);
    visit.greedy = false;
    await eventually('the window is full', () => visit.bytes === WINDOW_BYTES);
    visit.keep();
    await (await app.peer(1)).end();
  });
});

describe('an application that closes at the moment of reuse', () => {
  test.each([
    ['FIN', (peer: AppPeer) => peer.socket.end()],
    ['RST', (peer: AppPeer) => peer.breakOff()],
  ])('costs nothing when no byte was sent yet, another connection is dialled: %s', async (_name, close) => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    await instance.get();
    const visit = instance.open();
    close(await app.peer(1));
    await eventually('it is closed', () => app.peers[0]?.closed === true);
    visit.stream.write(Buffer.from(GET));
    await visit.answered();
    expect(app.peers).toHaveLength(2);
  });

  test.each([
    ['FIN', (peer: AppPeer) => peer.socket.end()],
    ['RST', (peer: AppPeer) => peer.breakOff()],
  ])('is told to the node as the end of a reused connection: %s', async (_name, close) => {
    const app = await TcpApp.start((peer) => {
      peer.socket.once('data', () => peer.answer());
      peer.socket.on('data', () => peer.text.endsWith(`second${GET}`) && close(peer));
    });
    const instance = await instanceOf(app);
    await instance.get();
    const visit = instance.open(`second${GET}`);
    expect(await visit.wasReset()).toEqual({ code: ResetCode.APP_CLOSED, reached: true, reused: true });
    expect(visit.ended).toBe(false);
    await instance.idle(2);
  });

  test('says that nothing was reached when the kernel refused the very first write', async () => {
    const app = await TcpApp.start(answering);
    const instance = await instanceOf(app);
    await instance.get();
    // The RST is in this process's kernel before the event loop can read it.
    app.peers[0]?.breakOff();
    const visit = instance.open(POST);
    await eventually('it is over', () => visit.reset !== null || visit.isAnswered);
    // Whether the write or the read meets the RST first is the event loop's choice; after a read a fresh connection has served it.
    if (visit.reset !== null) expect(visit.reset).toEqual({ code: ResetCode.APP_CLOSED, reached: false, reused: true });
  });
});

describe('an application that closes', () => {
  test('a response that ends with the connection is passed on to its end', async () => {
    const app = await TcpApp.start((peer) => peer.socket.once('data', () => peer.socket.end('HTTP/1.0 200 OK\r\n\r\nall of it')));
    const instance = await instanceOf(app);
    const visit = instance.open(GET);
    await visit.end();
    expect(visit.body).toBe('all of it');
    visit.close();
    await instance.idle(2);
  });

  test('without a response, on a connection of its own, is an end that the node judges', async () => {
    const app = await TcpApp.start((peer) => peer.socket.once('data', () => peer.socket.end()));
    const instance = await instanceOf(app);
    const visit = instance.open(GET);
    await visit.end();
    expect(visit.text).toBe('');
    expect(visit.reset).toBeNull();
    visit.cancel(ResetCode.CANCEL);
    await instance.idle(2);
  });

  test('that breaks off frees the slot and says so', async () => {
    const app = await TcpApp.start((peer) =>
      peer.socket.once('data', () => peer.socket.write('HTTP/1.1 200 OK\r\n', () => peer.breakOff())),
    );
    const instance = await instanceOf(app);
    const visit = instance.open(GET);
    expect(await visit.wasReset()).toEqual({ code: ResetCode.APP_CLOSED, reached: true, reused: false });
    await instance.idle(2);
  });

  test('what came before it broke off is delivered first, however slow the node is', async () => {
    const app = await TcpApp.start((peer) => peer.socket.once('data', () => peer.socket.write('x'.repeat(WINDOW_BYTES + 1_000))));
    const instance = await instanceOf(app);
    const visit = instance.open(GET);
    visit.greedy = false;
    await eventually('the window is full', () => visit.bytes === WINDOW_BYTES);
    app.peers[0]?.breakOff();
    visit.stream.write(Buffer.from('this finds it broken'));
    // When this one is answered the linker has tried to write the other.
    expect(await instance.open(GET, Flag.FRESH).received('x')).toBeUndefined();
    expect(visit.reset).toBeNull();
    visit.greedy = true;
    visit.stream.consumed(WINDOW_BYTES);
    expect(await visit.wasReset()).toEqual({ code: ResetCode.APP_CLOSED, reached: true, reused: false });
    expect(visit.bytes).toBe(WINDOW_BYTES + 1_000);
  });

  test('a node that writes on to it is told that nobody reads', async () => {
    const app = await TcpApp.start((peer) => peer.socket.once('data', () => peer.socket.end('bye')));
    const instance = await instanceOf(app);
    const visit = instance.open('hello');
    await visit.end();
    app.peers[0]?.socket.destroy();
    await eventually('the writing node is told', () => {
      visit.stream.write(Buffer.from('more'));
      return visit.reset !== null;
    });
    expect(visit.reset).toMatchObject({ code: ResetCode.APP_CLOSED });
  });
});

describe('both directions', () => {
  test('a half-close by the client reaches the application, which still answers', async () => {
    const app = await TcpApp.start((peer) => peer.socket.on('end', () => peer.socket.end(`got ${peer.text}`)));
    const instance = await instanceOf(app);
    const visit = instance.open('everything');
    visit.stream.end();
    await visit.end();
    expect(visit.text).toBe('got everything');
    visit.close();
    await instance.idle(2);
  });

  test('a slow node stops the application', async () => {
    let sent = 0;
    const app = await TcpApp.start((peer) => {
      const block = Buffer.alloc(65_536, 'x');
      const more = (): void => {
        while (!peer.socket.destroyed) {
          sent += block.length;
          if (!peer.socket.write(block)) break;
        }
      };
      peer.socket.on('drain', more);
      peer.socket.once('data', more);
    });
    const instance = await instanceOf(app);
    const visit = instance.open(GET);
    visit.greedy = false;
    await eventually('the window is full', () => visit.bytes === WINDOW_BYTES);
    let before = -1;
    await eventually('the application is stopped', () => {
      const stands = before === sent;
      before = sent;
      return stands;
    });
    visit.greedy = true;
    visit.stream.consumed(WINDOW_BYTES);
    await eventually('it goes on', () => sent > before);
    visit.cancel(ResetCode.CANCEL);
  });

  test('a slow application stops the node, and loses nothing', async () => {
    const app = await TcpApp.start((peer) => peer.socket.once('data', () => setImmediate(() => peer.socket.pause())));
    const instance = await instanceOf(app);
    const visit = instance.open('first');
    const peer = await app.peer(1);
    const block = Buffer.alloc(65_536, 'x');
    let written = 'first'.length;
    let stands = 0;
    await eventually('the node is stopped', () => {
      if (visit.stream.pendingBytes > 0) return ++stands === 5;
      stands = 0;
      for (let room = true; room; written += block.length) room = visit.stream.write(block);
      return false;
    });
    peer.socket.resume();
    await eventually('all of it arrives', () => peer.bytes === written);
  });

  test('a million bytes come back as they went', async () => {
    const app = await TcpApp.start((peer) => peer.socket.pipe(peer.socket));
    const instance = await instanceOf(app);
    const visit = instance.open('');
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    visit.tap = (chunk) => received.update(chunk);
    for (let i = 0; i < 20; i++) {
      const block = randomBytes(50_000);
      sent.update(block);
      const drained = visit.drains;
      if (!visit.stream.write(block)) await eventually('there is room', () => visit.drains > drained);
    }
    visit.stream.end();
    await visit.end();
    expect(visit.bytes).toBe(1_000_000);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
  });
});

test('a stream that is given up while it waits for a place is freed at once', async () => {
  const app = await TcpApp.start((peer) => peer.socket.on('data', () => peer.answer()));
  const instance = await instanceOf(app, { concurrency: 1 });
  await instance.get();
  const visit = instance.open(GET, Flag.FRESH);
  await (await app.peer(1)).end();
  visit.cancel(ResetCode.CANCEL);
  await instance.idle(1);
  expect(app.accepted).toBe(2);
});
