/** Clients whose connection ends by an error, before they have acknowledged anything: nothing of them is kept. */
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { queryObjects, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { connectFrames } from '../../../support/http2-client.ts';
import { frameBytes, Type } from '../../../support/http2-frames.ts';
import { closeClients } from '../../../support/raw-client.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const CLIENTS = 20;
/** What is on a stack, or in a pool, for a moment. */
const LEFT_MAX = 2;

afterEach(closeEverything);

function sockets(): number {
  collect();
  return Number(queryObjects(Socket, { format: 'count' }));
}

test('connections of clients that say what is no HTTP/2 are collected', async () => {
  const { port } = await startLoneNode();
  const before = sockets();
  for (let i = 0; i < CLIENTS; i++) {
    const client = await connectFrames(port);
    client.end(frameBytes(Type.HEADERS, 4, 0));
    await client.ended();
  }
  closeClients();
  expect(sockets()).toBeGreaterThan(0);
  await eventually('they are collected', async () => {
    await delay(20);
    return sockets() - before <= LEFT_MAX;
  });
});
