/** Each frame at each state of a stream, from clients and from applications: it ends what it has to end, and nothing else. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { internalErrors } from '../../../../src/boundary.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNode, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { block, requestBlock, Type } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';
import { ODD_FRAMES, SWALLOWING } from '../../../support/odd-frames.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

const OK = block([[':status', '200']]);
const POST = requestBlock({ ':method': 'POST' });

let errorsBefore: number;

beforeEach(() => {
  errorsBefore = internalErrorCount();
});

afterEach(async () => {
  closeHttp2();
  await closeEverything();
  expect(internalErrorCount()).toBe(errorsBefore);
});

function internalErrorCount(): number {
  return Object.values(internalErrors()).reduce((sum, { count }) => sum + count, 0);
}

/** The connection was judged: it goes on, or has ended. */
async function judged(peer: FramePeer): Promise<void> {
  await peer.judged().catch((error: Error) => {
    if (!/GOAWAY|reset|fin/.test(error.message)) throw error;
  });
}

async function isServed({ port }: LoneNode): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  expect((await askHttp2(session, {})).text).toBe('ok');
  session.destroy();
}

/** What a client has done on stream 1. */
const STATES: Record<string, (client: FramePeer) => Promise<void> | void> = {
  idle: () => {},
  'open, and its application waits': async (client) => {
    client.headers(1, requestBlock({ ':method': 'POST', ':path': '/wait' }));
    await judged(client);
  },
  'open, and answered': async (client) => {
    client.headers(1, POST);
    await client.until(Type.HEADERS, 1);
  },
  'half-closed, and its application waits': async (client) => {
    client.headers(1, requestBlock({ ':path': '/wait' }), true);
    await judged(client);
  },
  'half-closed, and its answer has begun': async (client) => {
    client.headers(1, requestBlock({ ':path': '/part' }), true);
    await client.until(Type.DATA, 1);
  },
  closed: async (client) => {
    client.headers(1, requestBlock(), true);
    expect(await client.endOf(1)).toBe('end');
  },
  'reset by the client': async (client) => {
    client.headers(1, requestBlock({ ':method': 'POST', ':path': '/wait' }));
    await judged(client);
    client.reset(1, 8);
  },
  'refused here': async (client) => {
    client.headers(1, requestBlock({ ':method': 'POST', ':authority': 'none.test' }));
    await client.until(Type.HEADERS, 1);
  },
};

/** Waits for ever, says a part of its answer, or all of it. */
async function speakHttp1(connection: RawSocket): Promise<void> {
  for (;;) {
    const head = await connection.takeThrough('\r\n\r\n');
    if (head.includes('/part')) connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart');
    else if (!head.includes('/wait')) connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    if (head.startsWith('POST')) return;
  }
}

async function speakHttp2(connection: RawSocket): Promise<void> {
  const application = await FramePeer.application(connection);
  for (;;) {
    const { stream, payload } = await application.until(Type.HEADERS);
    if (payload.includes('/wait')) continue;
    application.headers(stream, OK);
    application.data(stream, payload.includes('/part') ? 'part' : 'ok', !payload.includes('/part'));
  }
}

describe.each(['http1', 'h2c'] as const)('a client of an application (%s) may send', (protocol) => {
  test.each(Object.entries(STATES))('each frame on a stream that is %s', async (_state, reach) => {
    const app = await ScriptedApp.listen(protocol === 'http1' ? speakHttp1 : speakHttp2);
    const lone = await startLoneNode({ routes: { 'app.test': { protocol } } });
    await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency: 4 });
    for (const [what, bytes] of ODD_FRAMES) {
      const client = await FramePeer.client(lone.port);
      try {
        await reach(client);
        client.raw.send(bytes(1));
        if (what !== SWALLOWING) await judged(client);
        client.raw.reset();
        await eventually('all slots are idle', () => lone.node.active === 0 && lone.node.held === 0);
      } catch (error) {
        throw new Error(`after ${what}: ${String(error)}`, { cause: error });
      }
    }
    await isServed(lone);
  });

  test('each frame instead of the preface, and in its middle', async () => {
    const app = await ScriptedApp.listen(protocol === 'http1' ? speakHttp1 : speakHttp2);
    const lone = await startLoneNode({ routes: { 'app.test': { protocol } }, headTimeoutMs: 200, keepAliveTimeoutMs: 200 });
    await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency: 4 });
    for (const before of ['', 'PRI * HTTP/2.0\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
      const clients = await Promise.all(
        ODD_FRAMES.map(async ([, bytes]) => {
          const client = await connectClient(lone.port);
          client.send(Buffer.concat([Buffer.from(before), bytes(1)]));
          return client;
        }),
      );
      await Promise.all(clients.map((client) => client.ended()));
    }
    await isServed(lone);
  });
});

/** What an application of HTTP/2 has done about the request on stream 1 of its connection. */
const ANSWERS: Record<string, (application: FramePeer) => void> = {
  'not answered': () => {},
  'answered in part': (application) => {
    application.headers(1, OK);
    application.data(1, 'part');
  },
  'answered as a whole': (application) => {
    application.headers(1, OK);
    application.data(1, 'whole', true);
  },
  'reset by it': (application) => application.reset(1, 7),
};

describe('an application of HTTP/2 may send', () => {
  test.each(['POST', 'GET'].flatMap((method) => Object.entries(ANSWERS).map(([state, reach]) => [state, method, reach] as const)))(
    'each frame on a stream that is %s (%s)',
    async (_state, method, reach) => {
      const app = await ScriptedApp.listen();
      const lone = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
      await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
      for (const [what, bytes] of ODD_FRAMES) {
        const client = await FramePeer.client(lone.port);
        client.headers(1, requestBlock({ ':method': method }), method === 'GET');
        try {
          const application = await FramePeer.application(await app.next());
          await application.until(Type.HEADERS);
          reach(application);
          application.raw.send(bytes(1));
          if (what !== SWALLOWING) await judged(application);
          // The client's connection is never touched.
          await client.judged();
          application.raw.reset();
          await eventually('the slot is idle', () => lone.node.active === 0);
          client.raw.reset();
          await eventually('nobody is held', () => lone.node.held === 0);
        } catch (error) {
          throw new Error(`after ${what}: ${String(error)}`, { cause: error });
        }
      }
    },
  );

  test('each frame as its first words', async () => {
    let said = 0;
    const app = await ScriptedApp.listen((connection) => {
      const [, bytes] = ODD_FRAMES[said++ % ODD_FRAMES.length] as (typeof ODD_FRAMES)[number];
      connection.send(bytes(1));
    });
    const lone = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } }, headTimeoutMs: 100 });
    await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency: 20 });
    const client = await FramePeer.client(lone.port);
    for (let i = 0; i < 20; i++) client.headers(2 * i + 1, requestBlock(), true);
    await eventually('all have been said', () => said >= 2 * ODD_FRAMES.length || lone.node.active + lone.node.held < 5);
    await client.judged();
    client.raw.reset();
    await eventually('all slots are idle', () => lone.node.active === 0 && lone.node.held === 0);
  });
});
