import { describe, expect, test } from '@jest/globals';
import { setFileRoutes } from '../../../../src/cli/files/file-routes.ts';
import { createLog } from '../../../../src/log.ts';

const log = createLog('test', 'silent');

describe("the file's routes", () => {
  const routes = new Map([
    ['a', { maxHeld: '5' }],
    ['b', {}],
  ]);

  test('are set when the directory answers, each once', async () => {
    const set: unknown[] = [];
    let failures = 1;
    const cluster = {
      async setRoute(name: string, settings: unknown): Promise<void> {
        if (name === 'b' && failures-- > 0) throw new Error('no answer');
        set.push([name, settings]);
      },
    };
    await setFileRoutes(cluster, routes, log, new AbortController().signal);
    expect(set).toEqual([
      ['a', { maxHeld: 5 }],
      ['b', {}],
    ]);
  });

  test('are given up when the node leaves', async () => {
    const leaving = new AbortController();
    const cluster = {
      async setRoute(): Promise<void> {
        leaving.abort();
        throw new Error('no answer');
      },
    };
    await setFileRoutes(cluster, routes, log, leaving.signal);
  });
});
