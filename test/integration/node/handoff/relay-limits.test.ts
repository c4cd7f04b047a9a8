/** Limits that move while slots of the instance are lent on through a relay. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { ask, statuses } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import {
  CountingApp,
  closeAll,
  expectQuiet,
  ROUTE,
  type SomeLinker,
  type SomeNode,
  startNodeBehindDoor,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';

const CONCURRENCY = 4;
/** A request that was given to the application before the limit was lowered may still be on its way to its code for so many turns of the event loop. */
const ON_ITS_WAY_TURNS = 3;

let home: SomeNode;
let holders: SomeNode[];
let one: SomeLinker;
let running: number;
/** Told of each request that reaches the application's code. */
let arrives: () => void;
const waiting: (() => void)[] = [];

beforeEach(async () => {
  running = 0;
  arrives = () => {};
  const directory = new MemoryDirectory();
  const app = await CountingApp.listen();
  app.on('/wait', (_request, response) => {
    running++;
    arrives();
    response.once('close', () => running--);
    waiting.push(() => response.end('waited'));
  });
  home = await startSomeNode({ id: 'home', directory });
  holders = [];
  for (const id of ['first', 'second']) {
    holders.push(await startNodeBehindDoor({ id, directory }));
  }
  one = await startSomeLinker(home, app, { concurrency: CONCURRENCY });
});

afterEach(async () => {
  for (const answer of waiting.splice(0)) answer();
  await closeAll();
});

const get = ({ url }: SomeNode): Promise<{ status: number }> => ask(url, { host: ROUTE, path: '/wait' });
const answer = (): void => waiting.shift()?.();
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
};
const inHand = (): number => one.linker.control.picture.active;

async function quiet(slots: number): Promise<void> {
  for (const holder of holders) await expectQuiet(holder);
  await expectQuiet(home, slots);
}

test('a lowered limit gets its slots back from the other nodes as their requests end, and gives nothing more until there is room', async () => {
  const asks = [0, 0, 1, 1].map((at) => get(holders[at] as SomeNode));
  await eventually('all slots are in use, through relays', () => running === CONCURRENCY);
  one.linker.limit.set(1, 'control');
  const later = [0, 1, 0, 1].map((at) => get(holders[at] as SomeNode));
  for (let left = CONCURRENCY - 1; left >= 1; left--) {
    answer();
    await eventually('it has ended', () => running === left);
  }
  await turns(200);
  expect([running, inHand()]).toEqual([1, 1]);
  // From now on there is one at a time.
  for (let i = 0; i < later.length; i++) {
    answer();
    await eventually('the next one is there', () => running === 1 && waiting.length === 1);
  }
  answer();
  expect(statuses((await Promise.all([...asks, ...later])) as never)).toEqual({ 200: 8 });
  await quiet(1);
});

test('0 gives the application nothing more through a relay, and a raised limit serves who is held there', async () => {
  const asks = [0, 1].map((at) => get(holders[at] as SomeNode));
  await eventually('they are there', () => running === 2);
  one.linker.limit.set(0, 'control');
  const later = [0, 1].map((at) => get(holders[at] as SomeNode));
  answer();
  answer();
  await Promise.all(asks);
  await eventually('they are held', () => holders.every(({ node }) => node.held === 1));
  await turns(200);
  expect([running, inHand()]).toEqual([0, 0]);
  one.linker.limit.set(2, 'control');
  await eventually('they are served', () => running === 2);
  answer();
  answer();
  expect(statuses((await Promise.all(later)) as never)).toEqual({ 200: 2 });
  await quiet(2);
});

test('through 40 changes under load at all nodes nothing beyond the limit is given, and nothing is lost', async () => {
  let limit = CONCURRENCY;
  let passed = 0;
  const beyond: string[] = [];
  arrives = () => {
    if (running > limit && passed > ON_ITS_WAY_TURNS) beyond.push(`${running} of ${limit}`);
    // Each request takes some ms.
    setTimeout(answer, 5);
  };
  let isOver = false;
  const answers: { status: number }[] = [];
  const lane = async (at: number): Promise<void> => {
    while (!isOver) answers.push(await get([home, ...holders][at % 3] as SomeNode));
  };
  const lanes = Array.from({ length: 12 }, (_, i) => lane(i));
  for (let i = 0; i <= 40; i++) {
    limit = i === 40 ? CONCURRENCY : (i * 7) % (CONCURRENCY + 1);
    passed = 0;
    one.linker.limit.set(limit, 'control');
    const until = performance.now() + 10 + ((i * 13) % 50);
    for (; performance.now() < until; passed++) await turns(1);
  }
  isOver = true;
  await Promise.all(lanes);
  expect(beyond).toEqual([]);
  expect(statuses(answers as never)).toEqual({ 200: answers.length });
  expect(answers.length).toBeGreaterThan(20);
  await quiet(CONCURRENCY);
});
