/**
 * An application's last word holds, whoever is killed. By hand for longer:
 *
 *     BREATHS=1000 npm test -- test/e2e/limits
 */
import { expect, test } from '@jest/globals';
import { breathe } from './breathe.ts';

const CHANGES = Number(process.env.BREATHS ?? 120);

test('applications that change their limits under load get nothing beyond their last word, and nothing is lost', async () => {
  const say = CHANGES > 200 ? (line: string): void => console.error(line) : undefined;
  const { changes, violations, lost, kills, answered, broken } = await breathe({
    changes: CHANGES,
    clients: 12,
    killEveryMs: 700,
    changeEveryMs: 10,
    say,
  });
  say?.(JSON.stringify({ changes, kills, answered, broken }));
  expect(violations).toEqual([]);
  expect(lost).toEqual([]);
  expect(changes.header).toBeGreaterThan(CHANGES / 8);
  expect(changes.control).toBeGreaterThan(CHANGES / 8);
  expect(kills.node + kills.linker).toBeGreaterThan(0);
  expect(answered).toBeGreaterThan(100);
}, 600_000);
