/** What is checked of an agent: a linker that starts several instances of its machine. Each check has a fresh process. */
import { Frame } from '../../src/link/frames.ts';
import { EMPTY, u32 } from '../support/harness/link-wire.ts';
import { upload } from './http.ts';
import { jsonOf, type LinkerUnderTest, type NodeSide } from './node-side.ts';
import { Broken, type RuleId } from './rules.ts';

type Check = (linker: LinkerUnderTest) => Promise<void>;

const SECOND = 1_000;
/** Its command begins so many instances at most. */
export const MOST = 2;
const UP: ReadonlySet<number> = new Set([Frame.PING, Frame.PONG]);

export const AGENT_CHECKS: Partial<Record<RuleId, Check>> = {
  async 'agent-hello'(linker) {
    const side = await agentLink(linker, 'agent-hello');
    const { route, concurrency, startId } = side.hello;
    if (route !== linker.settings.route || concurrency !== 1 || startId !== undefined) {
      throw new Broken('agent-hello', `HELLO of an agent with ${JSON.stringify({ route, concurrency, startId })}`);
    }
    await side.until('agent-hello', 'a frame follows WELCOME', () => said(side).length > 0);
    if (said(side)[0]?.type !== Frame.STATE)
      throw new Broken('agent-hello', `the first frame after WELCOME has type ${said(side)[0]?.type}`);
    if (roomOf(side) !== MOST) throw new Broken('agent-hello', `STATE says room ${roomOf(side)}, it may start ${MOST}`);
  },

  async 'agent-feature'(linker) {
    const side = await linker.accept('agent-feature');
    await side.takeHello();
    side.sendJson(Frame.CHALLENGE, { v: 2, can: ['park'], node: 'kit', nonce: 'n'.repeat(32) });
    await side.ends('agent-feature', 'CHALLENGE did not name the feature `agent`', 4 * SECOND);
    if (side.count(Frame.PROOF) > 0) throw new Broken('agent-feature', 'a node that does not know agents got a PROOF');
  },

  async 'agent-link'(linker) {
    for (const [type, payload, what] of [
      [Frame.OPEN, EMPTY, 'OPEN was sent'],
      [Frame.GRANT, u32(1), 'GRANT was sent'],
      [Frame.START, EMPTY, 'a START of nothing was sent'],
      [Frame.START, Buffer.from('{"startId":"NOT ONE","route":"conformance.test"}'), 'a START with a malformed id was sent'],
    ] as const) {
      const side = await agentLink(linker, 'agent-link');
      side.send(type, payload, type === Frame.OPEN ? 1 : 0);
      await side.ends('agent-link', `${what} to an agent`, 4 * SECOND);
    }
  },

  async 'agent-start'(linker) {
    const side = await agentLink(linker, 'agent-start');
    await answered(side, 'agent-start', 's1', 'taken');
    const instance = await linker.link('agent-start', {}, false);
    if (instance.hello.startId !== 's1' || instance.hello.agent === true || instance.hello.instance === side.hello.instance) {
      throw new Broken('agent-start', `the instance of start s1 says ${JSON.stringify(instance.hello)}`);
    }
    await instance.until('agent-start', 'its slots are lent', () => instance.lent > 0, 25 * SECOND);
    await instance.serves('agent-start');
    await side.staysUp('agent-start', 'an instance serves', 100);
  },

  async 'agent-again'(linker) {
    const side = await agentLink(linker, 'agent-again');
    for (const _ of [1, 2]) await answered(side, 'agent-again', 's1', 'taken');
    await linker.link('agent-again', {}, false);
    await side.until('agent-again', 'STATE says that one runs', () => roomOf(side) === MOST - 1);
    await side.staysUp('agent-again', 'a start was said twice', 300);
    if (roomOf(side) !== MOST - 1) throw new Broken('agent-again', `a start that was said twice has left room ${roomOf(side)} of ${MOST}`);
  },

  async 'agent-room'(linker) {
    const side = await agentLink(linker, 'agent-room');
    for (let one = 1; one <= MOST; one++) await answered(side, 'agent-room', `s${one}`, 'taken');
    await side.until('agent-room', 'STATE says that there is no room', () => roomOf(side) === 0);
    await answered(side, 'agent-room', 's9', 'refused');
    await answered(side, 'agent-room', 's8', 'refused', 'other.conformance.test');
  },

  async 'agent-failed'(linker) {
    const side = await agentLink(linker, 'agent-failed');
    await answered(side, 'agent-failed', 's1', 'taken', `${linker.settings.route}~fails`);
    await side.until('agent-failed', 'START says that the instance has ended', () => answersOf(side, 's1').includes('failed'), 25 * SECOND);
    await side.until('agent-failed', 'its room is free again', () => roomOf(side) === MOST);
  },

  async 'agent-goaway'(linker) {
    const side = await agentLink(linker, 'agent-goaway');
    side.send(Frame.GOAWAY);
    const next = await agentLink(linker, 'agent-goaway');
    if (next.hello.instance !== side.hello.instance) throw new Broken('agent-goaway', 'the agent comes back with another id');
    await next.until('agent-goaway', 'STATE says its room', () => roomOf(next) === MOST);
  },

  async 'agent-leave'(linker) {
    const side = await agentLink(linker, 'agent-leave');
    await answered(side, 'agent-leave', 's1', 'taken');
    const instance = await linker.link('agent-leave', {}, false);
    await instance.until('agent-leave', 'slots are lent', () => instance.lent > 0, 25 * SECOND);
    const stream = instance.open(upload(instance.route, '/echo', 4));
    await instance.staysUp('agent-leave', 'a request was sent', 100);
    linker.signal('SIGTERM');
    await side.until('agent-leave', 'STATE says that there is no room', () => roomOf(side) === 0);
    await answered(side, 'agent-leave', 's2', 'refused');
    await instance.sendAll('agent-leave', stream, Buffer.from('last'));
    const { body } = await instance.response('agent-leave', stream);
    if (body.toString() !== 'last') throw new Broken('agent-leave', 'the request that was there did not get its response');
    instance.done(stream);
    await side.ends('agent-leave', 'its last instance is over');
  },
};

/** The link of the agent itself, which is up. */
async function agentLink(linker: LinkerUnderTest, rule: RuleId): Promise<NodeSide> {
  const side = await linker.link(rule, {}, false);
  if (side.hello.agent !== true) throw new Broken(rule, 'the HELLO of an agent does not say so');
  return side;
}

function said(side: NodeSide): NodeSide['frames'] {
  return side.frames.filter(({ type }) => !UP.has(type));
}

/** As the last STATE says it. */
function roomOf(side: NodeSide): unknown {
  const state = side.frames.findLast(({ type }) => type === Frame.STATE);
  return state === undefined ? null : jsonOf('agent-hello', state.payload).room;
}

function answersOf(side: NodeSide, startId: string): unknown[] {
  const starts = side.frames.filter(({ type, payload }) => type === Frame.START && payload.length > 0);
  return starts
    .map(({ payload }) => jsonOf('agent-start', payload))
    .filter((one) => one.startId === startId)
    .map(({ how }) => how);
}

/** Gives it a start. @throws Broken unless the next answer is this one. */
async function answered(side: NodeSide, rule: RuleId, startId: string, how: string, route = side.route): Promise<void> {
  const before = answersOf(side, startId).length;
  side.sendJson(Frame.START, { startId, route });
  await side.until(rule, `START ${startId} is answered`, () => answersOf(side, startId).length > before);
  const answer = answersOf(side, startId)[before];
  if (answer !== how) throw new Broken(rule, `START ${startId} was answered with ${JSON.stringify(answer)}, expected ${how}`);
}
