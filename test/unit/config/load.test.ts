import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { CommandSpec } from '../../../src/config/command-spec.ts';
import { COMMANDS } from '../../../src/config/commands/all.ts';
import { DEV } from '../../../src/config/commands/dev.ts';
import { LINKER } from '../../../src/config/commands/linker.ts';
import { NODE } from '../../../src/config/commands/node.ts';
import { ROUTES } from '../../../src/config/commands/route.ts';
import { SCALER } from '../../../src/config/commands/scaler.ts';
import { STATUS } from '../../../src/config/commands/status.ts';
import { loadCommand } from '../../../src/config/load.ts';
import { environmentName, type Settings } from '../../../src/config/settings.ts';
import { ConfigError } from '../../../src/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;
function file(content: string): string {
  const path = join(directory, `${++files}.yaml`);
  writeFileSync(path, content);
  return path;
}

/** A node on all addresses needs a secret, or this; its own tests are below. */
const OPEN = { PULLPROXY_INSECURE: 'true' };

async function load<const S extends Settings>(spec: CommandSpec<S>, argv: readonly string[], environment: Record<string, string> = {}) {
  const loaded = await loadCommand(spec, argv, { ...OPEN, ...environment });
  if (loaded === null) throw new Error('it asked for help');
  return loaded;
}

async function problemsOf<const S extends Settings>(
  spec: CommandSpec<S>,
  argv: readonly string[],
  environment: Record<string, string> = {},
): Promise<readonly string[]> {
  const error: unknown = await loadCommand(spec, argv, { ...OPEN, ...environment }).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof ConfigError) return error.problems;
  throw new Error('no ConfigError', { cause: error });
}

describe('defaults', () => {
  test('of a node are the documented ones, frozen', async () => {
    const { values, tail, routes } = await load(NODE, []);
    expect(values).toMatchObject({
      listen: [{ protocol: 'http', host: '0.0.0.0', port: 8080, route: null, proxyProtocol: null }],
      backend: { host: '0.0.0.0', port: 9080 },
      admin: { host: '127.0.0.1', port: 9090 },
      drainTimeoutMs: 30_000,
      headTimeoutMs: 10_000,
      keepAliveTimeoutMs: 75_000,
      headBytesMax: 16_384,
      heldBytesMax: 1024 ** 3,
      holdTimeoutMs: 30_000,
      workers: 1,
      logLevel: 'info',
    });
    expect(values.redis).toBeUndefined();
    expect(tail).toEqual([]);
    expect(routes.size).toBe(0);
    expect(Object.isFrozen(values) && Object.isFrozen(values.listen)).toBe(true);
  });

  test('of a linker', async () => {
    const { values, tail } = await load(LINKER, [
      '--proxy',
      '127.0.0.1:9080',
      '--route',
      'A.example.com',
      '--',
      'node',
      'app.js',
      '--port',
      '--',
      'x',
    ]);
    expect(values).toMatchObject({
      proxy: [{ host: '127.0.0.1', port: 9080 }],
      route: 'a.example.com',
      concurrency: 10,
      startTimeoutMs: 60_000,
      idleTimeoutMs: 300_000,
      oldIdleTimeoutMs: 10_000,
      drainTimeoutMs: 30_000,
      stopTimeoutMs: 10_000,
    });
    expect(tail).toEqual(['node', 'app.js', '--port', '--', 'x']);
  });

  test('of dev, scaler, status and route', async () => {
    expect((await load(DEV, ['--', 'x'])).values).toMatchObject({
      route: '*',
      concurrency: 10,
      minInstances: 0,
      maxInstances: 10,
      listen: [{ host: '127.0.0.1', port: 8080 }],
    });
    expect((await load(SCALER, ['--', 'x'])).values).toMatchObject({
      redis: 'redis://127.0.0.1:6379',
      rate: 'auto',
      parallel: 4,
      commandTimeoutMs: 60_000,
    });
    expect((await load(STATUS, ['--watch'])).values).toMatchObject({ redis: 'redis://127.0.0.1:6379', json: false, watch: true });
    expect((await load(ROUTES, ['set', 'a', 'maxHeld=1', '--redis', 'redis://b'])).operands).toEqual(['set', 'a', 'maxHeld=1']);
  });

  test('every default of every command is a value that its own flag takes', () => {
    for (const { settings } of COMMANDS) {
      for (const one of Object.values(settings)) {
        if (one.defaultText !== '') expect(one.readItem(one.defaultText)).not.toBeNull();
      }
    }
  });

  test('a flag means the same kind of value at every command', () => {
    const expectations = new Map<string, string>();
    for (const { settings } of COMMANDS) {
      for (const { flag, expected } of Object.values(settings as Settings)) {
        expect(expectations.get(flag) ?? expected).toBe(expected);
        expectations.set(flag, expected);
      }
    }
  });
});

describe('precedence', () => {
  test('flags beat the environment, which beats the file, which beats the default', async () => {
    const config = file('id: from-file\nlog-level: debug\nholdTimeout: 1s\nmax-held: 5\n');
    const environment = { PULLPROXY_CONFIG: config, PULLPROXY_ID: 'from-env', PULLPROXY_LOG_LEVEL: 'warn' };
    const { values } = await load(NODE, ['--id', 'from-flag'], environment);
    expect(values).toMatchObject({ id: 'from-flag', logLevel: 'warn', holdTimeoutMs: 1000, maxHeld: 5, backend: { port: 9080 } });
  });

  test('an empty environment variable is none', async () => {
    expect((await load(NODE, [], { PULLPROXY_REDIS: '' })).values.redis).toBeUndefined();
  });

  test('a bad value that is overridden harms nobody', async () => {
    expect((await load(NODE, ['--log-level=error'], { PULLPROXY_LOG_LEVEL: 'loud' })).values.logLevel).toBe('error');
  });

  test('the last flag wins', async () => {
    expect((await load(NODE, ['--id', 'a', '--id', 'b'])).values.id).toBe('b');
  });
});

describe('several values', () => {
  const both = [
    { host: 'a', port: 1 },
    { host: 'b', port: 2 },
  ];
  const rest = ['--route', 'r', '--', 'cmd'];
  test.each([
    ['repeated flags', ['--proxy', 'a:1', '--proxy', 'b:2', ...rest], {}],
    ['one flag', ['--proxy', 'a:1', 'b:2', ...rest], {}],
    ['commas', ['--proxy=a:1,b:2', ...rest], {}],
    ['the environment', rest, { PULLPROXY_PROXY: 'a:1, b:2' }],
    ['a list in the file', ['--config', file('proxy: [a:1, b:2]'), ...rest], {}],
  ])('by %s', async (_, argv, environment) => {
    expect((await load(LINKER, argv, environment)).values.proxy).toEqual(both);
  });
});

describe('problems', () => {
  test('are said all at once, each with the key, the value and what was expected', async () => {
    const config = file('backend: 9080\nbackedn: x\nroutes:\n  a b: {}\n  app:\n    holdTimeout: 30\n');
    const problems = await problemsOf(NODE, ['--lisen', 'x', '--admin', '9090', '--config', config, '--id'], {
      PULLPROXY_HEAD_BYTES_MAX: '100',
    });
    expect(problems).toEqual([
      '--lisen: expected a known flag; is --listen meant?',
      '"x": expected a flag; put -- before the command to run',
      '--id has no value: expected letters, digits, dots, hyphens and underscores, at most 64',
      expect.stringMatching(/^routes "a b": expected a host name/),
      expect.stringMatching(/^routes.app.holdTimeout 30: expected a duration/),
      expect.stringMatching(/backedn "x": expected one of the keys listen, /),
      '--admin "9090": expected HOST:PORT such as 127.0.0.1:9090 or [::1]:9090 (port 0: a free one)',
      'PULLPROXY_HEAD_BYTES_MAX "100": expected a size such as 65536, 64KiB or 1GiB, from 1KiB to 64KiB',
      expect.stringMatching(/\.yaml: backend 9080: expected HOST:PORT/),
    ]);
  });

  test('a missing value does not swallow the flag after it', async () => {
    expect(await problemsOf(NODE, ['--secret', '--id', 'a b'])).toEqual([
      '--secret has no value: expected at least one character',
      '--id "a b": expected letters, digits, dots, hyphens and underscores, at most 64',
    ]);
  });

  test('never show a secret', async () => {
    const problems = await problemsOf(NODE, ['--admin-token', 'hunter2 with space', '--redis', 'http://me:hunter2@redis']);
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('hunter2');
  });

  test('required settings and commands', async () => {
    expect(await problemsOf(LINKER, [])).toEqual([
      expect.stringMatching(/^--proxy is missing/),
      expect.stringMatching(/^--route is missing/),
    ]);
    expect(await problemsOf(LINKER, ['--proxy', 'a:1', '--route', 'b'])).toEqual([expect.stringMatching(/^--app is missing/)]);
    expect(await problemsOf(DEV, [])).toEqual([expect.stringMatching(/^-- CMD ARG\.\.\.: expected/)]);
    expect(await problemsOf(NODE, ['--', 'x'])).toEqual(['-- "x": expected nothing after it: this command does not run another one']);
  });

  test('several workers need a Redis, and ports of their own', async () => {
    expect(await problemsOf(NODE, ['--workers', '2'])).toEqual([expect.stringMatching(/^--workers 2: expected 1, or --redis with it/)]);
    const redis = ['--redis', 'redis://127.0.0.1'];
    expect(await problemsOf(NODE, ['--workers', '2', ...redis, '--backend', '127.0.0.1:65534'])).toEqual([
      expect.stringMatching(/^--backend "127.0.0.1:65534": expected 2 ports after it/),
    ]);
    expect((await load(NODE, ['--workers', '2', ...redis])).values.workers).toBe(2);
    expect(await problemsOf(NODE, ['--workers', '0'])).toEqual([expect.stringMatching(/^--workers "0": expected a whole number/)]);
  });

  test('a backend port beyond this machine needs a secret, or the word that it shall have none', async () => {
    const closed = { PULLPROXY_INSECURE: 'false' };
    for (const host of ['0.0.0.0', '[::]', '10.0.0.1', 'host.test', '127.0.0.1.nip.io']) {
      const problems = await problemsOf(NODE, ['--backend', `${host}:9080`], closed);
      expect(problems).toEqual([
        expect.stringContaining(`--backend "${host}:9080": expected a secret with it (PULLPROXY_SECRET or --secret-file)`),
      ]);
    }
    expect(await problemsOf(NODE, [], closed)).toEqual([
      expect.stringContaining('or 127.0.0.1:9080, for linkers of this machine only; or --insecure'),
    ]);
    for (const host of ['127.0.0.1', '127.0.0.2', '[::1]', 'localhost']) await load(NODE, ['--backend', `${host}:9080`], closed);
    await load(NODE, ['--insecure']);
    await load(NODE, [], { ...closed, PULLPROXY_SECRET: 's' });
    await load(NODE, ['--secret-file', 'secrets'], closed);
  });

  test('a certificate needs its key, and https both', async () => {
    expect(await problemsOf(NODE, ['--tls-cert', 'c'])).toEqual(['--tls-cert "c": expected --tls-key with it']);
    expect(await problemsOf(NODE, ['--tls-cert', 'c', '--tls-key', 'k', '--tls-key', 'l'])).toEqual([
      '--tls-key "l": expected --tls-cert with it',
    ]);
    expect((await load(NODE, ['--listen', 'https://a:1', '--tls-dir', 'd'])).values.tlsDir).toBe('d');
    expect(await problemsOf(NODE, ['--backend-tls-key', 'k'])).toEqual(['--backend-tls-key "k": expected --backend-tls-cert with it']);
    expect(await problemsOf(NODE, ['--backend-tls-ca', 'k'])).toHaveLength(1);
    expect(await problemsOf(NODE, ['--listen', 'https://a:1'])).toEqual([
      '--listen "https://a:1": expected --tls-cert and --tls-key with it',
    ]);
    expect(await problemsOf(LINKER, ['--proxy', 'a:1', '--route', 'b', '--app', 'c:1', '--proxy-tls-key', 'k'])).toHaveLength(1);
  });

  test('fewer instances at most than at least', async () => {
    expect(await problemsOf(DEV, ['--min-instances', '3', '--max-instances', '2', '--', 'x'])).toEqual([
      '--min-instances 3: expected at most --max-instances, which is 2',
    ]);
  });

  test('a file that is not there, no YAML, or no mapping', async () => {
    expect(await problemsOf(NODE, ['--config', '/nowhere.yaml'])).toEqual([
      '--config "/nowhere.yaml": expected a file that can be read (ENOENT)',
    ]);
    expect(await problemsOf(NODE, ['--config', file('a: [')])).toEqual([expect.stringMatching(/expected YAML \(/)]);
    expect(await problemsOf(NODE, ['--config', file('a: *b')])).toEqual([expect.stringMatching(/expected YAML \(Unresolved alias/)]);
    expect(await problemsOf(NODE, ['--config', file('- a')])).toEqual([expect.stringMatching(/expected keys and values at the top level/)]);
    expect(await problemsOf(NODE, ['--config', file('id: a\nid: b')])).toEqual([
      expect.stringMatching(/expected YAML \(Map keys must be unique/),
    ]);
    expect(await problemsOf(NODE, ['--config', file('log-level: info\nlogLevel: info')])).toEqual([expect.stringMatching(/one spelling/)]);
    expect((await load(NODE, ['--config', file('')])).values.workers).toBe(1);
  });
});

describe("the file's routes", () => {
  test('are there as they were written, under their canonical names', async () => {
    const config = file('routes:\n  App.example.com:\n    maxInstances: 3\n  "*.example.com":\n');
    expect([...(await load(NODE, ['--config', config])).routes]).toEqual([
      ['app.example.com', { maxInstances: 3 }],
      ['*.example.com', {}],
    ]);
  });

  test('may each be there once', async () => {
    expect(await problemsOf(NODE, ['--config', file('routes: {a: {}, A: {}}')])).toEqual([
      'routes "A": expected each route once; a was there already',
    ]);
  });

  test('belong to nodes', async () => {
    expect(await problemsOf(STATUS, ['--config', file('routes: {a: {}}')])).toEqual([
      expect.stringMatching(/routes \{"a":\{\}\}: expected one of the keys/),
    ]);
  });
});

describe('help', () => {
  test.each([['--help'], ['-h'], ['--redis', 'nonsense', '--help']])('is asked for by %s', async (...argv) => {
    expect(await loadCommand(NODE, argv, {})).toBeNull();
  });

  test('is not asked for by the command that is run', async () => {
    expect((await load(DEV, ['--', 'cmd', '--help'])).tail).toEqual(['cmd', '--help']);
  });
});

test('environment variables follow from flags', () => {
  expect(environmentName('hold-timeout')).toBe('PULLPROXY_HOLD_TIMEOUT');
});
