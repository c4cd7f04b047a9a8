/** Odd frames of a client that has come by TLS: they end what they have to end, and nothing else. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { internalErrors } from '../../../../src/boundary.ts';
import { Certificates } from '../../../../src/node/listeners/certificates.ts';
import { type Certificate, makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { requestBlock, Type } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';
import { ODD_FRAMES, SWALLOWING } from '../../../support/odd-frames.ts';
import { RawSocket } from '../../../support/raw-socket.ts';

let certificate: Certificate;
const sockets = new Set<TLSSocket>();

beforeAll(() => {
  certificate = makeCertificate('app.test');
});

afterAll(() => certificate.remove());

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await closeEverything();
});

async function dial(port: number): Promise<FramePeer> {
  const to = { port, host: '127.0.0.1', servername: 'app.test', ca: certificate.cert, ALPNProtocols: ['h2'], allowHalfOpen: true };
  const socket = connect(to);
  sockets.add(socket);
  await once(socket, 'secureConnect');
  return FramePeer.client(new RawSocket(socket));
}

/** What a client has done on stream 1. */
const STATES: Record<string, (client: FramePeer) => Promise<void> | void> = {
  idle: () => {},
  open: (client) => client.headers(1, requestBlock({ ':method': 'POST', ':scheme': 'https' })),
  'half-closed, and answered': async (client) => {
    client.headers(1, requestBlock({ ':scheme': 'https' }), true);
    await client.until(Type.DATA, 1);
  },
};

test.each(Object.entries(STATES))('a client by TLS may send each frame on a stream that is %s', async (_state, reach) => {
  const errorsBefore = Object.keys(internalErrors()).length;
  const app = await ScriptedApp.serving(() => ok('hello'));
  const lone = await startLoneNode({ listen: { protocol: 'https' }, certificates: new Certificates([certificate]) });
  await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, concurrency: 4 });
  for (const [what, bytes] of ODD_FRAMES) {
    const client = await dial(lone.port);
    try {
      await reach(client);
      client.raw.send(bytes(1));
      const judged = client.judged().catch((error: Error) => {
        if (!/GOAWAY|reset|fin/.test(error.message)) throw error;
      });
      if (what !== SWALLOWING) await judged;
    } catch (error) {
      throw new Error(what, { cause: error });
    }
    client.raw.socket.destroy();
  }
  const honest = await dial(lone.port);
  honest.headers(1, requestBlock({ ':scheme': 'https' }), true);
  expect(await honest.endOf(1)).toBe('end');
  expect(honest.contentOf(1).toString()).toBe('hello');
  honest.raw.socket.destroy();
  await eventually('all slots are idle', () => lone.node.active === 0 && lone.node.held === 0);
  expect(Object.keys(internalErrors())).toHaveLength(errorsBefore);
});
