/** Every linker of this repository keeps the rules of src/link/PROTOCOL.md. */
import { expect, test } from '@jest/globals';
import { testLinker, type Verdict } from '../../../conformance/kit.ts';
import { goLinker, ownLinker, pythonLinker, settingsOf } from '../../../conformance/tested-linkers.ts';
import { ownDirectory } from '../../../support/processes.ts';

const LANES = 2;
const TIMEOUT_MS = 600_000;

async function keepsTheRules(command: readonly string[]): Promise<void> {
  const broken: string[] = [];
  const tell = ({ broken: seen, output }: Verdict): void => {
    if (seen !== null) broken.push(`${seen.rule}: ${seen.message}\n${output}`);
  };
  await testLinker(settingsOf(command), [], tell, LANES);
  expect(broken).toEqual([]);
}

test('the linker of this package keeps the rules of the link protocol', () => keepsTheRules(ownLinker()), TIMEOUT_MS);

test(
  'the Python linker keeps the rules of the link protocol with an ASGI application',
  () => keepsTheRules(pythonLinker('app')),
  TIMEOUT_MS,
);

test(
  'the Python linker keeps the rules of the link protocol with a WSGI application',
  () => keepsTheRules(pythonLinker('wsgi')),
  TIMEOUT_MS,
);

const go = goLinker(ownDirectory());

(go === null ? test.skip : test)('the Go linker keeps the rules of the link protocol', () => keepsTheRules(go ?? []), TIMEOUT_MS);

test('CI runs the Go linker', () => {
  expect(go !== null || process.env.CI !== 'true').toBe(true);
});
