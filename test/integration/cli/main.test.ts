import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { runCommand } from '../../support/processes.ts';

describe('the program', () => {
  test('says its version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
    expect(await runCommand(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test.each(['-V', 'version'])('says its version when asked with %s', async (word) => {
    expect((await runCommand([word])).stdout).toBe((await runCommand(['--version'])).stdout);
  });

  test('checks the configuration of a node, starts nothing, and ends', async () => {
    const good = ['node', '--check', '--backend', '127.0.0.1:0'];
    expect(await runCommand(good)).toMatchObject({ code: 0, stdout: 'The configuration is right.\n' });
    expect(await runCommand([...good, '--secret-file', '/nowhere'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--secret-file .*ENOENT/),
    });
    const tls = ['--tls-cert', import.meta.filename, '--tls-key', import.meta.filename];
    expect(await runCommand([...good, ...tls])).toMatchObject({ code: 2, stderr: expect.stringMatching(/--tls-cert .*expected/) });
    expect((await runCommand([...good, '--hold-timeout', 'x'])).code).toBe(2);
  });

  test('helps when asked, and when nothing is said', async () => {
    const asked = await runCommand(['--help']);
    expect(asked).toMatchObject({ code: 0, stderr: '' });
    expect(asked.stdout).toContain('pullproxy dev -- node server.js');
    expect(await runCommand([])).toMatchObject({ code: 2, stdout: '', stderr: asked.stdout });
  });

  test.each(['dev', 'node', 'linker', 'scaler', 'status', 'route'])('%s --help', async (name) => {
    const { code, stdout, stderr } = await runCommand([name, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^pullproxy ${name}: `));
  });

  test('knows no other command', async () => {
    const { code, stderr } = await runCommand(['serve']);
    expect(code).toBe(2);
    expect(stderr).toContain('"serve": expected a command, one of dev, node, linker, scaler, status, route');
  });

  test('ends with 2 and all that is wrong', async () => {
    const { code, stdout, stderr } = await runCommand(['node', '--bakend', 'x', '--workers', '0'], { env: { PULLPROXY_ADMIN: '9090' } });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.split('\n')).toEqual([
      "pullproxy node: can't start:",
      '  --bakend: expected a known flag; is --backend meant?',
      '  "x": expected a flag; put -- before the command to run',
      '  PULLPROXY_ADMIN "9090": expected HOST:PORT such as 127.0.0.1:9090 or [::1]:9090 (port 0: a free one)',
      '  --workers "0": expected a whole number from 1 to 64',
      '"pullproxy node --help" explains every setting.',
      '',
    ]);
  });

  test('says when Redis does not answer, without its password', async () => {
    const { code, stderr } = await runCommand(['status', '--redis', 'redis://me:hunter2@127.0.0.1:1']);
    expect(code).toBe(1);
    expect(stderr).toBe(
      'pullproxy: Redis does not answer at redis://127.0.0.1:1 (--redis, or PULLPROXY_REDIS)\n' +
        '  Is it running, and is this its address? Try: redis-cli -h 127.0.0.1 -p 1 ping\n',
    );
  });
});
