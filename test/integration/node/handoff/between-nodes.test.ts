/** Clients at one node, slots at another: two nodes on one directory. */

import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { ask, crowd, statuses } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import {
  CountingApp,
  closeAll,
  expectQuiet,
  ROUTE,
  type SomeNode,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

/** A client elsewhere goes first when it is older by more than this. */
const SET_AGE_MS = 100;

let app: CountingApp;
let here: SomeNode;
let there: SomeNode;
let answered: string[];
let finish: (() => void) | null;

beforeEach(async () => {
  const directory = new MemoryDirectory();
  app = await CountingApp.listen();
  here = await startSomeNode({ id: 'here', directory, routes: { [ROUTE]: {} } });
  there = await startSomeNode({ id: 'there', directory, routes: { [ROUTE]: {} } });
  answered = [];
  finish = null;
  app.on('/busy', (_request, response) => {
    finish = () => response.end();
  });
  for (const path of ['/a', '/b', '/c'])
    app.on(path, (_request, response) => {
      answered.push(path);
      response.end();
    });
});

afterEach(async () => {
  closeClients();
  await closeAll();
});

async function hold(node: SomeNode, path: string): Promise<RawSocket> {
  const client = await connectClient(node.port);
  const before = node.node.held;
  client.send(`GET ${path} HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
  await eventually('it is held', () => node.node.held === before + 1);
  return client;
}

/** The one slot is `here`, and in use until `finish`. */
async function occupy(): Promise<RawSocket> {
  await startSomeLinker(here, app, { concurrency: 1 });
  const client = await connectClient(here.port);
  client.send(`GET /busy HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
  await eventually('the slot is in use', () => finish !== null);
  return client;
}

describe('a slot that comes free', () => {
  test('goes to the client at another node that is older by more than the set age, then back to the younger one', async () => {
    const busy = await occupy();
    const older = await hold(there, '/a');
    await delay(2 * SET_AGE_MS);
    const younger = await hold(here, '/b');
    finish?.();
    await busy.response();
    await Promise.all([older.response(), younger.response()]);
    expect(answered).toEqual(['/a', '/b']);
  });

  test('serves the client at its own node that is about as old', async () => {
    const busy = await occupy();
    let both: RawSocket[] = [];
    // Again if this machine let more than the set age pass between them.
    for (let began = Number.NEGATIVE_INFINITY; performance.now() - began > SET_AGE_MS / 2; ) {
      for (const client of both) client.reset();
      await eventually('nobody is held', () => here.node.held + there.node.held === 0);
      began = performance.now();
      both = [await hold(there, '/a'), await hold(here, '/b')];
    }
    finish?.();
    await busy.response();
    await Promise.all(both.map((client) => client.response()));
    expect(answered).toEqual(['/b', '/a']);
  });

  test('is not waited for by who is held when the other client has just gone', async () => {
    const busy = await occupy();
    const older = await hold(there, '/a');
    await delay(2 * SET_AGE_MS);
    const younger = await hold(here, '/b');
    older.reset();
    finish?.();
    await busy.response();
    const began = performance.now();
    await younger.response();
    expect(performance.now() - began).toBeLessThan(SET_AGE_MS);
    expect(answered).toEqual(['/b']);
  });
});

test('a client is served at once from wherever a slot lies idle, again and again', async () => {
  await startSomeLinker(here, app, { concurrency: 1 });
  const waits: number[] = [];
  for (let i = 0; i < 60; i++) {
    const began = performance.now();
    expect((await ask((i % 2 === 0 ? there : here).url, { host: ROUTE })).status).toBe(200);
    waits.push(performance.now() - began);
  }
  waits.sort((a, b) => a - b);
  expect(waits[30]).toBeLessThan(50);
  expect(there.node.handoffs.results.moved + here.node.handoffs.results.moved).toBe(60);
});

test('crowds at both nodes share few slots: all are served, and never by more at once than there are slots', async () => {
  app.on('/work', (_request, response) => void setTimeout(() => response.end(), Math.random() * 5));
  await startSomeLinker(here, app, { concurrency: 3 });
  const answers = await crowd(
    300,
    (i) => (i % 3 === 0 ? here : there).url,
    () => ({ host: ROUTE, path: '/work', method: 'POST', body: 'x' }),
  );
  expect(statuses(answers)).toEqual({ 200: 300 });
  expect(app.most).toBeLessThanOrEqual(3);
  for (const { node } of [here, there]) expect([node.held, node.active]).toEqual([0, 0]);
});

test('what one node believes of slots that are not there any more is put right, and the search goes on', async () => {
  const first = await startSomeLinker(here, app, { concurrency: 2 });
  await expectQuiet(here, 2);
  first.linker.drain();
  await first.exit;
  const client = await hold(there, '/c');
  await startSomeLinker(here, app, { concurrency: 2 });
  expect((await client.response()).status).toBe(200);
  expect(answered).toEqual(['/c']);
});
