/** A new version that accepts connections and is broken all the same: whatever its protocol, clients are served by the old one. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../../src/linker/free-port.ts';
import type { Lender } from '../../../../src/node/matching/lent-slots.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNode, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { block, Type } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

type Script = (connection: RawSocket) => unknown;

/** What one client gets: the old version's word, or something else. */
type Ask = (port: number) => Promise<string>;

const askHttp1: Ask = async (port) => {
  const client = await connectClient(port);
  client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\n\r\nx');
  const { status, text } = await client.response();
  return status === 200 ? text : String(status);
};

/** `method`: a POST may not be said twice. */
const askH2c = (method: string): Ask => {
  return async (port) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const { status, text } = await askHttp2(session, { ':path': '/', ':method': method }).catch(() => ({ status: 0, text: 'reset' }));
    session.destroy();
    return status === 200 ? text : `${status} ${text}`;
  };
};

/** `words`: what the client says first. */
const askTcp = (words: string): Ask => {
  return async (port) => {
    const client = await connectClient(port);
    if (words !== '') client.send(words);
    const said = await client.take(3).catch((error: Error) => error.message);
    client.socket.destroy();
    return said.toString();
  };
};

const http2 = (play: (peer: FramePeer) => unknown): Script => {
  return async (connection) => {
    const peer = await FramePeer.application(connection);
    await peer.until(Type.HEADERS);
    await play(peer);
  };
};

/** Answers every request of its connection. */
const http2Stream = (answer: (peer: FramePeer, stream: number) => void): Script => {
  return async (connection) => {
    const peer = await FramePeer.application(connection);
    for (;;) answer(peer, (await peer.until(Type.HEADERS)).stream);
  };
};

const http2Answer = (status: string, text: string): Script =>
  http2Stream((peer, stream) => {
    peer.headers(stream, block([[':status', status]]));
    peer.data(stream, text, true);
  });

const OLD: Readonly<Record<string, Script>> = {
  http1: async (connection) => {
    for (;;) {
      await connection.request();
      connection.send(ok('old'));
    }
  },
  h2c: http2Answer('200', 'old'),
  tcp: (connection) => connection.send('old'),
};

interface Versions extends LoneNode {
  /** The new version, as the node sees it. */
  readonly young: () => Lender | undefined;
}

/** The old version has proved itself; the new one, at `appPort`, has not. */
async function versions(protocol: string, ask: Ask, appPort: number): Promise<Versions> {
  const lone = await startLoneNode({
    routes: { 'app.test': protocol === 'tcp' ? {} : { protocol } },
    ...(protocol === 'tcp' ? { listen: { protocol: 'tcp', route: 'app.test' } } : {}),
  });
  const { backendPort } = lone;
  const old = await ScriptedApp.listen(OLD[protocol]);
  await FakeLinker.dial({ backendPort, appPort: old.port, route: 'app.test', instance: 'old', seq: 1 });
  expect(await ask(lone.port)).toBe('old');
  await FakeLinker.dial({ backendPort, appPort, route: 'app.test', instance: 'new', seq: 2 });
  const young = (): Lender | undefined => lone.node.routes.get('app.test')?.slots.lenders.find(({ instance }) => instance === 'new');
  await eventually('the new version is linked', () => young()?.link.idle === 10);
  return { ...lone, young };
}

async function served(port: number, ask: Ask, count: number): Promise<string[]> {
  const words: string[] = [];
  for (let i = 0; i < count; i++) words.push(await ask(port));
  return words;
}

const BROKEN: readonly (readonly [protocol: string, how: string, ask: Ask, script: Script])[] = [
  [
    'http1',
    'answers with 503',
    askHttp1,
    async (app) => {
      for (;;) {
        await app.request();
        app.send('HTTP/1.1 503 Broken\r\nContent-Length: 0\r\n\r\n');
      }
    },
  ],
  ['http1', 'answers what is no HTTP', askHttp1, (app) => app.request().then(() => app.end('nonsense\r\n\r\n'))],
  ['http1', 'closes before its answer', askHttp1, (app) => app.request().then(() => app.end())],
  ['h2c', 'answers with 503', askH2c('POST'), http2Answer('503', 'broken')],
  [
    'h2c',
    'fails every call of gRPC',
    askH2c('POST'),
    http2Stream((peer, stream) =>
      peer.headers(
        stream,
        block([
          [':status', '200'],
          ['grpc-status', '14'],
        ]),
        true,
      ),
    ),
  ],
  ['h2c', 'resets each request', askH2c('POST'), http2((peer) => peer.reset(1, 2))],
  ['h2c', 'closes before its answer', askH2c('POST'), http2((peer) => peer.raw.end())],
  ['h2c', 'closes at once', askH2c('POST'), (app) => app.end()],
  ['h2c', 'speaks another protocol', askH2c('POST'), (app) => app.send('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['tcp', 'closes when it has heard its client', askTcp('hello'), (app) => app.take(5).then(() => app.end())],
  ['tcp', 'breaks when it has heard its client', askTcp('hello'), (app) => app.take(5).then(() => app.reset())],
  ['tcp', 'closes at once', askTcp(''), (app) => app.end()],
];

describe('a new version', () => {
  test.each(BROKEN)('of %s that %s is suspect after three failures, and the old one serves', async (protocol, _how, ask, script) => {
    const app = await ScriptedApp.listen(script);
    const { port, young } = await versions(protocol, ask, app.port);
    await served(port, ask, 3);
    expect(young()?.trust?.state).toBe('suspect');
    expect(await served(port, ask, 5)).toEqual(['old', 'old', 'old', 'old', 'old']);
  });

  test.each([
    ['http1', askHttp1],
    ['h2c', askH2c('POST')],
    ['tcp', askTcp('hello')],
    ['tcp', askTcp('')],
  ] as const)('of %s that refuses connections costs no client anything', async (protocol, ask) => {
    const { port, young } = await versions(protocol, ask, await freePort());
    expect(await served(port, ask, 3)).toEqual(['old', 'old', 'old']);
    expect(young()?.trust?.state).toBe('suspect');
  });

  test.each([
    ['h2c', 'resets it', askH2c('GET'), http2((peer) => peer.reset(1, 2))],
    ['h2c', 'closes', askH2c('GET'), http2((peer) => peer.raw.end())],
    ['tcp', 'closes', askTcp(''), (app: RawSocket) => app.end()],
  ] as const)('of %s that %s costs no client anything whose request may go out again', async (protocol, _how, ask, script) => {
    const app = await ScriptedApp.listen(script);
    const { port } = await versions(protocol, ask, app.port);
    expect(await served(port, ask, 5)).toEqual(['old', 'old', 'old', 'old', 'old']);
  });
});

describe('a new version of tcp', () => {
  test('is proven by its first byte, and not by a connection that it accepts', async () => {
    const app = await ScriptedApp.listen();
    const { port, young } = await versions('tcp', askTcp(''), app.port);
    const client = await connectClient(port);
    const connection = await app.next();
    client.send('hello');
    await connection.take(5);
    expect(young()?.trust?.state).toBe('new');
    connection.send('x');
    await client.take(1);
    expect(young()?.trust?.state).toBe('proven');
  });

  test('is proven when it closes in order after a client that wanted no response', async () => {
    const app = await ScriptedApp.listen();
    const { port, young } = await versions('tcp', askTcp(''), app.port);
    const client = await connectClient(port);
    const connection = await app.next();
    client.end('a line for the log');
    expect(await connection.ended()).toBe('fin');
    connection.end();
    expect(await client.ended()).toBe('fin');
    expect(young()?.trust?.state).toBe('proven');
  });

  test('is not to blame for clients that leave before its first byte', async () => {
    const app = await ScriptedApp.listen();
    const { port, young } = await versions('tcp', askTcp(''), app.port);
    for (let i = 0; i < 4; i++) {
      const client = await connectClient(port);
      const connection = await app.next();
      client.reset();
      await connection.ended();
      await eventually('its slot is free', () => young()?.link.idle === 10);
    }
    expect(young()?.trust?.state).toBe('new');
  });
});
