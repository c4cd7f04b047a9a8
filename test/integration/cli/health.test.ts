/** The container image's health check, beside real processes. */
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { health } from '../../../src/cli/commands/health.ts';
import { freePort } from '../../../src/linker/free-port.ts';
import { startProcess } from '../../support/processes.ts';

/** As proc(5) has it. */
const process1 = (...words: string[]): string => words.map((word) => `${word}\0`).join('');
const INIT = ['/sbin/docker-init', '--'];

// What it says goes into the container's log of checks.
jest.spyOn(console, 'error').mockImplementation(() => {});
afterEach(() => {
  jest.clearAllMocks();
});

describe('a container is healthy', () => {
  test.each([
    { init: [], program: ['node', '/usr/local/bin/pullproxy'] },
    { init: INIT, program: ['pullproxy'] },
    { init: [], program: ['node', '/app/dist/cli/main.cjs'] },
  ])('as long as its node answers at the admin port: $init $program', async ({ init, program }) => {
    const admin = `0.0.0.0:${await freePort()}`;
    const args = ['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', admin];
    const words = process1(...init, ...program, ...args);
    expect(await health([], words)).toBe(1);
    expect(jest.mocked(console.error)).toHaveBeenCalledWith(
      `http://${admin.replace('0.0.0.0', '127.0.0.1')}/healthz does not answer with 200`,
    );
    const node = await startProcess(args);
    expect(await health([], words)).toBe(0);
    await node.stop();
    expect(await health([], words)).toBe(1);
  });

  test('as long as it is there where no admin port is', async () => {
    expect(await health([], process1('pullproxy', 'linker', '--proxy', 'a:1', '--route', 'r', '--', 'pullproxy', 'node'))).toBe(0);
    expect(await health([], process1('pullproxy', 'scaler', '--', 'pullproxy', 'node'))).toBe(0);
  });
});
