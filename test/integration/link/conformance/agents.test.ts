/** The agent of this package keeps the rules of src/link/PROTOCOL.md, and the kit tells one that breaks a rule. */
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { AGENT_CHECKS } from '../../../conformance/agent-checks.ts';
import { testAgent, type Verdict } from '../../../conformance/kit.ts';
import type { RuleId } from '../../../conformance/rules.ts';
import { agent, settingsOf } from '../../../conformance/tested-linkers.ts';
import { type Edit, ProcessBuilder } from '../../../conformance/wrong-nodes.ts';
import { ownDirectory } from '../../../support/processes.ts';

const TIMEOUT_MS = 600_000;
const LANES = 2;
const builder = new ProcessBuilder('agent-app');

afterAll(() => builder.stop());

/** The breach of each rule. */
const WRONG: Partial<Record<RuleId, Edit>> = {
  'agent-hello': ['linker/agent.ts', 'Math.max(0, most - running)', 'most + 1'],
  'agent-feature': ['link/handshake.ts', "!sharedFeatures(can).has('agent')", 'false'],
  'agent-link': ['link/agent-links.ts', 'else throw new LinkProtocolError(', 'else void new LinkProtocolError('],
  'agent-start': ['cli/agent/agent.ts', 'startId,\n      instance,', 'instance,'],
  'agent-again': ['linker/agent.ts', 'if ([...this.#running].some((one) => one.startId === startId))', 'if (false)'],
  'agent-room': ['linker/agent.ts', 'this.#running.size >= this.#options.most', 'false'],
  'agent-failed': ['linker/agent.ts', "answer?.('failed', reason);", ''],
  'agent-goaway': ['link/agent-links.ts', 'this.#events.goAway();', 'void 0;'],
  'agent-leave': ['linker/agent.ts', "if (this.#state === 'draining') return 'the agent is leaving';", ''],
};

async function verdicts(command: readonly string[], only: readonly RuleId[]): Promise<Verdict[]> {
  const told: Verdict[] = [];
  await testAgent(settingsOf(command), only, (verdict) => told.push(verdict), LANES);
  return told;
}

test('there is a wrong agent for every rule', () => {
  expect(Object.keys(WRONG).toSorted()).toEqual(Object.keys(AGENT_CHECKS).toSorted());
});

test(
  'the agent of this package keeps the rules of the link protocol',
  async () => {
    const told = await verdicts(agent(), []);
    expect(told.flatMap(({ broken, output }) => (broken === null ? [] : [`${broken.rule}: ${broken.message}\n${output}`]))).toEqual([]);
  },
  TIMEOUT_MS,
);

test.concurrent.each(Object.entries(WRONG) as [RuleId, Edit][])(
  'the kit catches an agent that breaks the rule %s',
  async (rule, edit) => {
    const file = join(ownDirectory(), 'agent.cjs');
    await builder.build(file, edit);
    const told = await verdicts(agent(file), [rule]);
    expect(told).toMatchObject([{ broken: { rule } }]);
    // Not because it could not begin.
    expect(told[0]?.broken?.message).not.toMatch(/the command has ended|does not dial within 25000 ms/);
  },
  TIMEOUT_MS,
);
