import { expect, test } from '@jest/globals';
import { LINKER_CHECKS } from '../../../conformance/linker-checks.ts';
import { NODE_CHECKS } from '../../../conformance/node-checks.ts';
import { RULES } from '../../../conformance/rules.ts';

test.each([
  ['linker', LINKER_CHECKS],
  ['node', NODE_CHECKS],
] as const)('the kit looks at every rule of a %s, and at no others', (side, checks) => {
  const rules = Object.entries(RULES).filter(([, [who]]) => who === side || who === 'both');
  expect(Object.keys(checks).toSorted()).toEqual(rules.map(([id]) => id).toSorted());
});
