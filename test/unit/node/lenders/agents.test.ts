import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { AgentRoom } from '../../../../src/cluster/agents.ts';
import type { AgentAtNode } from '../../../../src/link/agent-links.ts';
import type { AgentAnswer, AgentReport } from '../../../../src/link/agent-words.ts';
import { createLog } from '../../../../src/log.ts';
import { Agents } from '../../../../src/node/lenders/agents.ts';
import { eventually } from '../../../support/eventually.ts';

const ROUTE = 'app.example.com';

let announced: (readonly AgentRoom[])[];
let told: string[];
let answers: string[];
let agents: Agents;

beforeEach(() => {
  [announced, told, answers] = [[], [], []];
  agents = new Agents({
    directory: {
      announce: async (_route, _node, said) => void announced.push(said),
      answer: async (route, startId, agent, how) => void told.push(`${route} ${startId} ${agent} ${how}`),
      giveBack: async (route, startId, failure) => void told.push(`${route} ${startId} back ${failure}`),
    },
    node: 'n1',
    startAnother: () => {},
    startNeeded: () => {},
    answered: (route, how) => void answers.push(`${route} ${how}`),
    isLeaving: () => false,
    log: createLog('test', 'silent'),
  });
});
afterEach(() => agents.stop());

class FakeLink {
  readonly link = {
    isUp: true,
    close: () => {
      this.link.isUp = false;
    },
  };
  readonly given: string[] = [];

  start({ startId }: { startId: string }): void {
    this.given.push(startId);
  }
}

/** An agent that is linked, and has said this. */
function agent(
  id: string,
  report: AgentReport,
): { link: FakeLink; say(report: AgentReport): void; answer(startId: string, how: AgentAnswer['how']): void } {
  const link = new FakeLink();
  agents.linked(ROUTE, id, link as unknown as AgentAtNode);
  const heard = agents.heard(ROUTE, id);
  heard.report(report);
  return {
    link,
    say: heard.report,
    answer: (startId, how) => heard.answered({ startId, route: ROUTE, how, reason: how === 'failed' ? 'exit 1' : '' }),
  };
}

const shown = () => agents.of(ROUTE).agents;

describe('the agents at a node', () => {
  test('are seen as they say, without the room of starts that they have not answered', () => {
    const one = agent('a1', { room: 3, running: 1, starting: 1, least: 0, most: 4, machine: 'host1' });
    agents.given(ROUTE, 's1', 'a1');
    expect(shown()).toEqual({
      count: 1,
      room: 2,
      running: 1,
      starting: 1,
      shown: [{ id: 'a1', node: 'n1', room: 2, running: 1, starting: 1, least: 0, most: 4, machine: 'host1' }],
    });
    one.answer('s1', 'taken');
    one.say({ room: 2, running: 2, failure: { reason: 'x'.repeat(500), ageMs: 7 } });
    const [{ failure } = { failure: undefined }] = shown()?.shown ?? [];
    expect([failure?.reason.length, (failure?.ageMs ?? 0) >= 7]).toEqual([200, true]);
    expect(agents.of('other.example.com')).toEqual({});
  });

  test('are told to the directory with what they say', async () => {
    agent('a1', { room: 3, running: 1, machine: 'host1' });
    await eventually('it is told', () => announced.length > 0);
    expect(announced.at(-1)).toEqual([{ id: 'a1', room: 3, facts: { running: 1, machine: 'host1' } }]);
  });

  test('are counted by their answers, and answers to starts that they do not have are nothing', () => {
    const one = agent('a1', { room: 3, running: 0 });
    one.answer('unknown', 'taken');
    for (const startId of ['s1', 's2']) agents.given(ROUTE, startId, 'a1');
    one.answer('s1', 'taken');
    one.answer('s1', 'failed');
    one.answer('s2', 'refused');
    expect(answers).toEqual([`${ROUTE} taken`, `${ROUTE} failed`, `${ROUTE} refused`]);
    expect(told).toEqual([`${ROUTE} s1 a1 taken`, `${ROUTE} s1 back exit 1`, `${ROUTE} s2 a1 refused`]);
  });

  test('of one id: the one that has linked last is it, and starts of the other are its own', async () => {
    const [first, second] = [agent('a1', { room: 1, running: 0 }), agent('a1', { room: 2, running: 0 })];
    expect([first.link.link.isUp, second.link.link.isUp, shown()?.count]).toEqual([false, true, 1]);
    agents.given(ROUTE, 's1', 'a1');
    expect([first.link.given, second.link.given]).toEqual([[], ['s1']]);
    agents.gone(ROUTE, 'a1', first.link as unknown as AgentAtNode);
    expect(shown()?.count).toBe(1);
    expect(told).toEqual([]);
  });

  test('that are gone give back the starts that they have', () => {
    const one = agent('a1', { room: 3, running: 0 });
    agents.given(ROUTE, 's1', 'a1');
    one.answer('s1', 'taken');
    agents.given(ROUTE, 's2', 'a1');
    agents.gone(ROUTE, 'a1', one.link as unknown as AgentAtNode);
    expect(told.slice(1)).toEqual([`${ROUTE} s1 a1 refused`, `${ROUTE} s1 back null`, `${ROUTE} s2 a1 refused`, `${ROUTE} s2 back null`]);
    expect(agents.of(ROUTE)).toEqual({});
  });
});
