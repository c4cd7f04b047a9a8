/** The node of this package keeps every rule of src/link/PROTOCOL.md, and the kit tells a node that breaks one: the same with one thing wrong at a time. */
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { testNode, type Verdict } from '../../../conformance/kit.ts';
import { NODE_CHECKS } from '../../../conformance/node-checks.ts';
import type { RuleId } from '../../../conformance/rules.ts';
import { type Edit, type NodeProcess, ProcessBuilder, startNodeProcess, WRONG_NODES } from '../../../conformance/wrong-nodes.ts';
import { ownDirectory } from '../../../support/processes.ts';

const TIMEOUT_MS = 600_000;
const nodes: NodeProcess[] = [];
const builder = new ProcessBuilder();

afterAll(async () => {
  for (const node of nodes) node.stop();
  await builder.stop();
});

async function verdicts(only: readonly RuleId[], edit?: Edit): Promise<Verdict[]> {
  const file = join(ownDirectory(), 'node.cjs');
  await builder.build(file, edit);
  const node = await startNodeProcess(file);
  nodes.push(node);
  const told: Verdict[] = [];
  await testNode(node.settings, only, (verdict) => told.push(verdict));
  node.stop();
  return told;
}

test('there is a wrong node for every rule', () => {
  expect(Object.keys(WRONG_NODES).toSorted()).toEqual(Object.keys(NODE_CHECKS).toSorted());
});

test.concurrent(
  'the node of this package keeps the rules of the link protocol',
  async () => {
    const broken = (await verdicts([])).flatMap(({ broken: seen }) => (seen === null ? [] : [`${seen.rule}: ${seen.message}`]));
    expect(broken).toEqual([]);
  },
  TIMEOUT_MS,
);

test.concurrent.each(Object.entries(WRONG_NODES) as [RuleId, Edit][])(
  'the kit catches a node that breaks the rule %s',
  async (rule, edit) => expect(await verdicts([rule], edit)).toMatchObject([{ broken: { rule } }]),
  TIMEOUT_MS,
);
