import { describe, expect, test } from '@jest/globals';
import type { AgentStarts, GivenState } from '../../../src/cluster/agents.ts';
import { AgentRoom, giveToAgent } from '../../../src/scaling/agent-starts.ts';

const noWait = async (): Promise<void> => {};

/** Agents in the order in which they are given starts, with what each says at its first look, its second, and so on. */
class FakeAgents implements AgentStarts {
  readonly forgotten: string[] = [];
  readonly asked: string[] = [];
  looks = 0;
  readonly #says: Readonly<Record<string, readonly GivenState[]>>;

  constructor(says: Readonly<Record<string, readonly GivenState[]>>) {
    this.#says = says;
  }

  async room() {
    return { agents: Object.keys(this.#says).length, room: 1 };
  }

  async give(_route: string, _startId: string, without: readonly string[]) {
    const agent = Object.keys(this.#says).find((one) => !without.includes(one)) ?? null;
    if (agent !== null) this.asked.push(agent);
    this.looks = 0;
    return agent;
  }

  async given(): Promise<GivenState> {
    return this.#says[this.asked.at(-1) ?? '']?.[this.looks++] ?? 'open';
  }

  async forget(_route: string, startId: string) {
    this.forgotten.push(startId);
  }
}

describe('a start that is given to agents', () => {
  test.each<[string, Record<string, GivenState[]>, string | null, string[]]>([
    ['is taken by the first one', { a: ['taken'], b: ['taken'] }, 'a', ['a']],
    ['is taken after a while', { a: ['open', 'open', 'taken'] }, 'a', ['a']],
    ['goes to the next one when it is refused', { a: ['open', 'refused'], b: ['taken'] }, 'b', ['a', 'b']],
    ['goes to the next one when nothing is said', { a: [], b: ['taken'] }, 'b', ['a', 'b']],
    ['is taken by nobody', { a: ['refused'], b: ['refused'] }, null, ['a', 'b']],
    ['is not given where no agent is', {}, null, []],
    ['is offered to five at most', Object.fromEntries([...'abcdefgh'].map((id) => [id, ['refused']])), null, [...'abcde']],
  ])('%s', async (_what, says, taker, asked) => {
    const agents = new FakeAgents(says);
    expect((await giveToAgent(agents, 'app', 's1', noWait))?.agent ?? null).toBe(taker);
    expect(agents.asked).toEqual(asked);
    // Nothing of it stays in the directory.
    expect(agents.forgotten).toHaveLength(asked.length);
  });

  test('is waited for no longer than 5.1 s, with looks that become rarer', async () => {
    const waits: number[] = [];
    const agents = new FakeAgents({ a: [] });
    await giveToAgent(agents, 'app', 's1', async (ms) => void waits.push(ms));
    const all = waits.reduce((sum, ms) => sum + ms, 0);
    expect([waits.slice(0, 3), all >= 5_000, all <= 5_100, waits.length < 120]).toEqual([[2, 4, 8], true, true, true]);
  });
});

test('a route without agents is spoken of once, until it has one', async () => {
  let agents = 0;
  const said: object[] = [];
  const room = new AgentRoom({ room: async () => ({ agents, room: agents }) }, { warn: (facts: object) => void said.push(facts) });
  expect([await room.of('app'), await room.of('app'), said.length]).toEqual([0, 0, 1]);
  agents = 2;
  expect([await room.of('app'), said.length]).toEqual([2, 1]);
  agents = 0;
  await room.of('app');
  await room.of('other');
  expect(said).toEqual([{ route: 'app' }, { route: 'app' }, { route: 'other' }]);
});
