import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { SHELL_INIT } from '../../../../src/cli/process/init.ts';

function underShell(code: string) {
  const child = spawn('/bin/sh', ['-c', SHELL_INIT, 'pullproxy-init', process.execPath, '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { child, exit: once(child, 'exit') };
}

/** Where no tini is. */
describe('a shell as the first process', () => {
  test('ends with the exit code of its command', async () => {
    expect(await underShell('process.exit(7)').exit).toEqual([7, null]);
  });

  test.each<NodeJS.Signals>(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'])(
    'passes %s on, and waits for what the command makes of it',
    async (signal) => {
      const { child, exit } = underShell(
        `process.on('${signal}', () => setTimeout(() => process.exit(3), 100)); setInterval(() => {}, 1000); console.log('up')`,
      );
      await once(child.stdout, 'data');
      child.kill(signal);
      expect(await exit).toEqual([3, null]);
    },
  );
});
