/**
 * Every frame, from either side, a hundred thousand times: what it costs and what bounds it. A flood has to end its link, with a reason,
 * before it has made the other end do more than the row says. `does`: how often the end's owner is told, which for the words to the
 * cluster is what Redis could be asked.
 */
import v8 from 'node:v8';
import vm from 'node:vm';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Frame } from '../../../src/link/frames.ts';
import { dialLink } from '../../../src/link/handshake.ts';
import { newNonce } from '../../../src/link/proof.ts';
import {
  AGENT_HELLO,
  agentAndRawNode,
  agentsNodeAndRawAgent,
  linkerAndRawNode,
  nodeAndRawLinker,
  Recorder,
  SECRET,
} from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, frameBytes, RawPeer, socketPair, u32, until } from '../../support/harness/link-wire.ts';

const FLOOD = 100_000;
/** With the two slots of these links: 2,000 and four for each slot at once, and 8 for the stream that is open. */
const FRAMES_MAX = 2_000 + 4 * 2 + 8;
const CLUSTER_WORDS_MAX = 1_000;
/** A linker counts with the most slots that there can be. */
const NODE_FRAMES_MAX = 2_000 + 4 * 10_000 + 8 + 3;
/** By which the budgets grow while a flood lasts. */
const FRAMES_PER_SECOND = 200 + 2;
const NODE_FRAMES_PER_SECOND = 200 + 10_000;
const BYTES_MAX = 8 * 1_048_576;

afterEach(destroySockets);

interface Row {
  readonly frame: keyof typeof Frame;
  readonly about: string;
  readonly payload?: Buffer;
  readonly streamId?: number;
  readonly flags?: number;
  /** Why the link ends. */
  readonly reason: string;
  /** How often the owner of the end is told at most. */
  readonly does: number;
}

const budget = 'too many control frames';
const move = (count: number, address: string): Buffer => Buffer.concat([u32(count), Buffer.from(address)]);
const refused = (frame: keyof typeof Frame): Row => ({ frame, about: 'it is not for this side', reason: 'frame type', does: 0 });

const FROM_LINKER: readonly Row[] = [
  ...(['HELLO', 'CHALLENGE', 'PROOF', 'WELCOME'] as const).map(refused),
  { frame: 'REFUSE', about: 'which ends the link', payload: Buffer.from('{"reason":"no"}'), reason: 'refused by the peer: no', does: 0 },
  ...(['RETURN', 'MOVE', 'OPEN', 'DONE', 'NEWEST', 'GOAWAY', 'RETIRE_ANSWER', 'CLIENT', 'PARK', 'UNPARK', 'SAID', 'QUIET'] as const).map(
    refused,
  ),
  { frame: 'GRANT', about: 'of nothing', payload: u32(0), reason: budget, does: FRAMES_MAX },
  { frame: 'GRANT', about: 'of more than the instance has', payload: u32(1), reason: 'slots granted', does: 2 },
  { frame: 'RECALL', about: 'of what is in use', payload: u32(1), reason: budget, does: FRAMES_MAX },
  { frame: 'MOVE_FAILED', about: 'of what was never moved', payload: move(1, '127.0.0.1:1'), reason: 'not moved there', does: 0 },
  { frame: 'MOVE_FAILED', about: 'an address of 60 KB', payload: move(1, 'a'.repeat(60_000)), reason: 'at most 260', does: 0 },
  { frame: 'DATA', about: 'empty', streamId: 1, reason: budget, does: FRAMES_MAX },
  { frame: 'DATA', about: 'on no stream', payload: Buffer.alloc(1), streamId: 9, reason: budget, does: 0 },
  { frame: 'DATA', about: 'more than the window', payload: Buffer.alloc(65_536), streamId: 1, reason: 'exceeds its window', does: 64 },
  {
    frame: 'DATA',
    about: 'more than the window of a given-up stream',
    payload: Buffer.alloc(65_536),
    streamId: 2,
    reason: 'exceeds its window',
    does: 0,
  },
  { frame: 'END', about: 'again and again', streamId: 1, reason: budget, does: 1 },
  { frame: 'RESET', about: 'again and again', payload: u32(0), streamId: 1, reason: budget, does: 2 },
  { frame: 'RESET', about: 'on no stream', payload: u32(0), streamId: 9, reason: budget, does: 0 },
  { frame: 'WINDOW', about: 'of nothing', payload: u32(0), streamId: 1, reason: budget, does: 0 },
  { frame: 'WINDOW', about: 'on no stream', payload: u32(500_000), streamId: 9, reason: budget, does: 0 },
  { frame: 'WINDOW', about: 'more than was sent', payload: u32(300_000), streamId: 1, reason: 'more credit than its window', does: 0 },
  { frame: 'CONNECTED', about: 'again and again', payload: u32(1), streamId: 1, reason: budget, does: FRAMES_MAX },
  { frame: 'WAITS', about: 'again and again', streamId: 1, reason: budget, does: FRAMES_MAX },
  { frame: 'COST', about: 'again and again', payload: u32(2), reason: budget, does: FRAMES_MAX },
  { frame: 'PING', about: 'again and again', reason: budget, does: 0 },
  { frame: 'PONG', about: 'that nobody asked for', reason: budget, does: 0 },
  {
    frame: 'STATE',
    about: 'that changes nothing',
    payload: Buffer.from('{"home":true,"state":"ready","active":0}'),
    reason: 'too many reports',
    does: CLUSTER_WORDS_MAX,
  },
  { frame: 'RETIRE', about: 'before its answer', reason: 'too many reports', does: 1 },
  { frame: 'START', about: 'again and again', reason: 'too many reports', does: CLUSTER_WORDS_MAX },
];

const FROM_NODE: readonly Row[] = [
  ...(['HELLO', 'CHALLENGE', 'PROOF', 'WELCOME'] as const).map(refused),
  { frame: 'REFUSE', about: 'which ends the link', payload: Buffer.from('{"reason":"no"}'), reason: 'refused by the peer: no', does: 0 },
  ...(['GRANT', 'RECALL', 'MOVE_FAILED', 'CONNECTED', 'STATE', 'RETIRE', 'START'] as const).map(refused),
  { frame: 'RETURN', about: 'of nothing', payload: u32(0), reason: 'slots returned', does: 0 },
  { frame: 'RETURN', about: 'of more than it has', payload: u32(1), reason: 'slots returned', does: 2 },
  { frame: 'MOVE', about: 'of more than it has', payload: move(1, '127.0.0.1:1'), reason: 'slots returned', does: 2 },
  { frame: 'MOVE', about: 'an address of 60 KB', payload: move(1, 'a'.repeat(60_000)), reason: 'at most 260', does: 0 },
  { frame: 'OPEN', about: 'without a slot', streamId: 1, reason: 'opened twice', does: 0 },
  { frame: 'DATA', about: 'empty', streamId: 1, reason: budget, does: NODE_FRAMES_MAX },
  { frame: 'DATA', about: 'on no stream', payload: Buffer.alloc(1), streamId: 9, reason: budget, does: 0 },
  { frame: 'DATA', about: 'more than the window', payload: Buffer.alloc(65_536), streamId: 1, reason: 'exceeds its window', does: 64 },
  { frame: 'END', about: 'again and again', streamId: 1, reason: budget, does: 1 },
  { frame: 'RESET', about: 'again and again', payload: u32(0), streamId: 1, reason: budget, does: 1 },
  { frame: 'WAITS', about: 'again and again', streamId: 1, reason: budget, does: NODE_FRAMES_MAX },
  { frame: 'WAITS', about: 'of no stream', streamId: 9, reason: budget, does: 0 },
  { frame: 'WINDOW', about: 'of nothing', payload: u32(0), streamId: 1, reason: budget, does: 0 },
  { frame: 'WINDOW', about: 'more than was sent', payload: u32(300_000), streamId: 1, reason: 'more credit than its window', does: 0 },
  { frame: 'DONE', about: 'of no stream', streamId: 9, reason: budget, does: 0 },
  { frame: 'PARK', about: 'of no stream', payload: u32(0), streamId: 9, reason: budget, does: 0 },
  { frame: 'PARK', about: 'of a parked stream', payload: u32(0), streamId: 1, reason: 'parked twice', does: 1 },
  { frame: 'UNPARK', about: 'of no stream', streamId: 9, reason: budget, does: 0 },
  { frame: 'UNPARK', about: 'of a stream that is not parked', streamId: 1, reason: 'is not parked', does: 0 },
  { frame: 'SAID', about: 'again and again', payload: Buffer.from('8'), streamId: 1, reason: budget, does: NODE_FRAMES_MAX },
  { frame: 'SAID', about: 'of a whole kilobyte', payload: Buffer.alloc(1_024), streamId: 1, reason: 'at most 64', does: 0 },
  { frame: 'QUIET', about: 'of streams that are never opened', streamId: 5, reason: budget, does: 0 },
  { frame: 'COST', about: 'of streams that are never opened', payload: u32(2), streamId: 5, reason: budget, does: 0 },
  { frame: 'COST', about: 'that brings slots together, again and again', payload: u32(2), reason: budget, does: NODE_FRAMES_MAX },
  { frame: 'NEWEST', about: 'again and again', reason: budget, does: NODE_FRAMES_MAX },
  { frame: 'PING', about: 'again and again', reason: budget, does: 0 },
  { frame: 'PONG', about: 'that nobody asked for', reason: budget, does: 0 },
  { frame: 'GOAWAY', about: 'again and again', reason: budget, does: NODE_FRAMES_MAX },
  { frame: 'RETIRE_ANSWER', about: 'that nobody asked for', flags: 1, reason: budget, does: 0 },
  {
    frame: 'CLIENT',
    about: 'of streams that are never opened',
    payload: Buffer.from('192.0.2.1 1 192.0.2.2 2'),
    streamId: 5,
    reason: budget,
    does: 0,
  },
];

/** Frames of slots and streams have no place on an agent's link. */
const foreign = (used: readonly string[]): Row[] =>
  (Object.keys(Frame) as (keyof typeof Frame)[]).filter((frame) => !used.includes(frame)).map(refused);
const AGENT_FRAMES_MAX = 2_000;
const ANY_LINK = ['DATA', 'END', 'WINDOW', 'PING', 'PONG', 'REFUSE'];

const ON_ANY_LINK: readonly Row[] = [
  { frame: 'REFUSE', about: 'which ends the link', payload: Buffer.from('{"reason":"no"}'), reason: 'refused by the peer: no', does: 0 },
  { frame: 'DATA', about: 'on no stream', payload: Buffer.alloc(1), streamId: 9, reason: budget, does: 0 },
  { frame: 'END', about: 'on no stream', streamId: 9, reason: budget, does: 0 },
  { frame: 'WINDOW', about: 'on no stream', payload: u32(500_000), streamId: 9, reason: budget, does: 0 },
  { frame: 'PING', about: 'again and again', reason: budget, does: 0 },
  { frame: 'PONG', about: 'that nobody asked for', reason: budget, does: 0 },
];

const FROM_AGENT: readonly Row[] = [
  ...foreign([...ANY_LINK, 'STATE', 'START']),
  ...ON_ANY_LINK,
  {
    frame: 'STATE',
    about: 'that changes nothing',
    payload: Buffer.from('{"room":1,"running":0}'),
    reason: 'too many reports',
    does: CLUSTER_WORDS_MAX,
  },
  {
    frame: 'STATE',
    about: 'of more room than there can be',
    payload: Buffer.from('{"room":1001,"running":0}'),
    reason: 'malformed',
    does: 0,
  },
  {
    frame: 'STATE',
    about: 'of an instance',
    payload: Buffer.from('{"home":true,"state":"ready","active":0}'),
    reason: 'malformed',
    does: 0,
  },
  { frame: 'START', about: 'for one more, again and again', reason: 'too many reports', does: CLUSTER_WORDS_MAX },
  {
    frame: 'START',
    about: 'as an answer, again and again',
    payload: Buffer.from('{"startId":"s1","route":"app.example.com","how":"taken"}'),
    reason: 'too many reports',
    does: CLUSTER_WORDS_MAX,
  },
  {
    frame: 'START',
    about: 'as no answer',
    payload: Buffer.from('{"startId":"s1","route":"app.example.com"}'),
    reason: 'malformed',
    does: 0,
  },
];

const TO_AGENT: readonly Row[] = [
  ...foreign([...ANY_LINK, 'START', 'GOAWAY']),
  ...ON_ANY_LINK,
  {
    frame: 'START',
    about: 'again and again',
    payload: Buffer.from('{"startId":"s1","route":"app.example.com"}'),
    reason: budget,
    does: AGENT_FRAMES_MAX,
  },
  { frame: 'START', about: 'of no route', payload: Buffer.from('{"startId":"s1","route":"../etc"}'), reason: 'malformed', does: 0 },
  { frame: 'START', about: 'without a payload', reason: 'not a JSON object', does: 0 },
  { frame: 'GOAWAY', about: 'again and again', reason: budget, does: AGENT_FRAMES_MAX },
];

test('the tables have every frame', () => {
  const all = Object.keys(Frame).sort();
  expect([...new Set(FROM_LINKER.map(({ frame }) => frame))].sort()).toEqual(all);
  expect([...new Set(FROM_NODE.map(({ frame }) => frame))].sort()).toEqual(all);
  expect([...new Set(FROM_AGENT.map(({ frame }) => frame))].sort()).toEqual(all);
  expect([...new Set(TO_AGENT.map(({ frame }) => frame))].sort()).toEqual(all);
});

/** Writes until the flood is over, or its link. */
async function flood(
  socket: { write(bytes: Buffer): boolean; once(event: 'drain', then: () => void): unknown },
  row: Row,
  over: () => boolean,
): Promise<void> {
  const one = frameBytes(Frame[row.frame], row.payload ?? EMPTY, row.streamId ?? 0, row.flags ?? 0);
  const many = Math.max(1, Math.min(FLOOD, Math.floor(1_048_576 / one.length)));
  const bytes = Buffer.concat(Array.from({ length: many }, () => one));
  for (let sent = 0; sent < FLOOD && !over(); sent += many) {
    if (!socket.write(bytes)) await Promise.race([new Promise<void>((resolve) => socket.once('drain', resolve)), until(over)]);
  }
  await until(over, 'the link is over');
}

v8.setFlagsFromString('--expose-gc');
const collectGarbage = vm.runInNewContext('gc') as () => void;

function held(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('a flood of', () => {
  test.each(FROM_LINKER)('$frame from a linker, $about', async (row) => {
    const began = performance.now();
    let told = 0;
    const tell = (): void => void told++;
    const { node, peer } = await nodeAndRawLinker({
      hello: { route: 'app.example.com', instance: 'i1', seq: 1, concurrency: 2 },
      node: { idle: tell, moveFailed: tell, report: tell, retire: tell, startAnother: tell, recalled: tell, gathersAtMost: tell },
    });
    peer.send(Frame.GRANT, u32(2));
    await until(() => node.link.idle === 2);
    const handler = new Recorder();
    const [first, second] = [node.link.open(handler, 0, EMPTY), node.link.open(new Recorder(), 0, EMPTY)];
    for (const event of ['onData', 'onEnd', 'onReset', 'onConnected'] as const) Object.assign(handler, { [event]: () => void told++ });
    expect([first.id, second.id]).toEqual([1, 2]);
    if (row.streamId === 2) node.link.reset(second, 3);
    if (row.frame === 'GRANT') {
      await peer.take(Frame.OPEN);
      peer.send(Frame.RESET, u32(0), 1);
      await until(() => node.link.idle === 1);
    }
    told = 0;
    const before = held();
    await flood(peer.socket, row, () => node.downs.length > 0);
    const growth = (FRAMES_PER_SECOND * (performance.now() - began)) / 1_000;
    expect(node.downs).toEqual([expect.stringContaining(row.reason)]);
    expect(told).toBeLessThanOrEqual(row.does + (row.reason.startsWith('too many') ? growth : 0) + 1);
    expect(held() - before).toBeLessThan(BYTES_MAX);
  });

  test.each(FROM_NODE)('$frame from a node, $about', async (row) => {
    const began = performance.now();
    let told = 0;
    const tell = (): void => void told++;
    const { linker, peer } = await linkerAndRawNode({
      linker: { done: tell, returned: tell, moveWanted: tell, newest: tell, retireAnswer: tell, goAway: tell, gather: tell },
    });
    linker.link.grant(3);
    await peer.take(Frame.GRANT);
    peer.send(Frame.OPEN, EMPTY, 1);
    await until(() => linker.opened.length === 1);
    const handler = linker.opened[0]?.handler as Recorder;
    for (const event of ['onData', 'onEnd', 'onReset'] as const) Object.assign(handler, { [event]: () => void told++ });
    const before = held();
    await flood(peer.socket, row, () => linker.downs.length > 0);
    const growth = (NODE_FRAMES_PER_SECOND * (performance.now() - began)) / 1_000;
    expect(linker.downs).toEqual([expect.stringContaining(row.reason)]);
    expect(told).toBeLessThanOrEqual(row.does + (row.reason.startsWith('too many') ? growth : 0) + 1);
    expect(held() - before).toBeLessThan(BYTES_MAX);
  });
});

describe('on the link of an agent, a flood of', () => {
  test.each(FROM_AGENT)('$frame from the agent, $about', async (row) => {
    const began = performance.now();
    let told = 0;
    const downs: string[] = [];
    const tell = (): void => void told++;
    const events = { report: tell, answered: tell, startAnother: tell, down: (reason: string) => void downs.push(reason) };
    const peer = await agentsNodeAndRawAgent(events);
    const before = held();
    await flood(peer.socket, row, () => downs.length > 0);
    const growth = (FRAMES_PER_SECOND * (performance.now() - began)) / 1_000;
    expect(downs).toEqual([expect.stringContaining(row.reason)]);
    expect(told).toBeLessThanOrEqual(row.does + (row.reason.startsWith('too many') ? growth : 0) + 1);
    expect(held() - before).toBeLessThan(BYTES_MAX);
  });

  test.each(TO_AGENT)('$frame from its node, $about', async (row) => {
    const began = performance.now();
    let told = 0;
    const downs: string[] = [];
    const tell = (): void => void told++;
    const peer = await agentAndRawNode({ start: tell, goAway: tell, down: (reason) => void downs.push(reason) });
    const before = held();
    await flood(peer.socket, row, () => downs.length > 0);
    const growth = (FRAMES_PER_SECOND * (performance.now() - began)) / 1_000;
    expect(downs).toEqual([expect.stringContaining(row.reason)]);
    expect(told).toBeLessThanOrEqual(row.does + (row.reason.startsWith('too many') ? growth : 0) + 1);
    expect(held() - before).toBeLessThan(BYTES_MAX);
  });
});

test('an agent does not prove its secret to a node that would take it for an instance', async () => {
  const sockets = await socketPair();
  const failed = new Promise<string>((resolve) =>
    dialLink(sockets.dialled, { hello: AGENT_HELLO, secret: SECRET, ready: () => resolve('linked'), failed: resolve }),
  );
  const peer = new RawPeer(sockets.accepted);
  await peer.take(Frame.HELLO);
  peer.sendJson(Frame.CHALLENGE, { v: 2, can: ['park', 'limits', 'quiet', 'cost'], node: 'n1', nonce: newNonce() });
  expect(await failed).toContain('does not know agents');
  expect((await peer.takeJson(Frame.REFUSE)).reason).toContain('does not know agents');
});

test('whoever floods is told why the link ends', async () => {
  const { node, peer } = await nodeAndRawLinker();
  await flood(peer.socket, { frame: 'PING', about: '', reason: '', does: 0 }, () => node.downs.length > 0);
  expect((await peer.takeJson(Frame.REFUSE)).reason).toMatch(/^too many control frames: more than \d+ at once and \d+ per second$/);
});

test('a legitimate linker does not reach the budget: ten thousand slots that go and come back one by one', async () => {
  const { node, peer } = await nodeAndRawLinker({ hello: { route: 'app.example.com', instance: 'i1', seq: 1, concurrency: 10_000 } });
  for (let round = 0; round < 2; round++) {
    for (let slot = 0; slot < 10_000; slot++) peer.send(Frame.GRANT, u32(1));
    await until(() => node.link.idle === 10_000);
    for (let slot = 0; slot < 10_000; slot++) node.link.move(1, 'other.test:9080');
    for (let slot = 0; slot < 10_000; slot++) {
      peer.send(Frame.MOVE_FAILED, move(1, 'other.test:9080'));
      peer.send(Frame.GRANT, u32(1));
    }
    await until(() => node.link.idle === 10_000);
    node.link.giveBack(10_000);
  }
  expect(node.downs).toEqual([]);
});
