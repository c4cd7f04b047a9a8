import { expect, test } from '@jest/globals';
import { AGENT_CHECKS } from '../../../conformance/agent-checks.ts';
import { LINKER_CHECKS } from '../../../conformance/linker-checks.ts';
import { NODE_CHECKS } from '../../../conformance/node-checks.ts';
import { RULES, type Side } from '../../../conformance/rules.ts';

test.each([
  ['linker', LINKER_CHECKS, ['linker', 'both']],
  ['node', NODE_CHECKS, ['node', 'both', 'agent, node']],
  ['agent', AGENT_CHECKS, ['agent', 'agent, node']],
] as const)('the kit looks at every rule of a %s, and at no others', (_side, checks, whose: readonly Side[]) => {
  const rules = Object.entries(RULES).filter(([, [who]]) => whose.includes(who));
  expect(Object.keys(checks).toSorted()).toEqual(rules.map(([id]) => id).toSorted());
});
