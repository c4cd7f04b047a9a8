import assert from 'node:assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAddressRange } from '../../../src/config/address-range.ts';
import { LINKER } from '../../../src/config/commands/linker.ts';
import { NODE } from '../../../src/config/commands/node.ts';
import { SCALER } from '../../../src/config/commands/scaler.ts';
import { formatDuration, parseDuration } from '../../../src/config/duration.ts';
import { formatHostPort, parseHostPort } from '../../../src/config/host-port.ts';
import { formatListenUrl, parseListenUrl } from '../../../src/config/listen-url.ts';
import { loadCommand } from '../../../src/config/load.ts';
import { parseRedisUrl } from '../../../src/config/redis-url.ts';
import { formatSize, parseSize } from '../../../src/config/size.ts';
import { ConfigError } from '../../../src/errors.ts';
import { latin1, type Target } from '../target.ts';

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-fuzz-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));

/** Each input is read or refused in words, and a refusal names what is wrong. */
async function load(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert(error.problems.length > 0 && error.problems.every((problem) => problem.length > 0));
  }
}

/** What is written reads back as the same. */
function assertInverse<T>(text: string, parse: (text: string) => T | null, format: (value: T) => string): void {
  const value = parse(text);
  if (value !== null) assert.deepEqual(parse(format(value)), value);
}

export const CONFIG: Target = {
  name: 'config',
  sources: ['/src/config/'],
  words: [
    '--',
    '--listen ',
    'http://',
    'tcp://',
    '?route=',
    '&proxy=v1',
    'routes:\n',
    ': ',
    '\n',
    '  ',
    '- ',
    '30s',
    '0',
    '1GiB',
    '10.0.0.0/8',
    '[::1]:80',
    '*',
    '*.',
    '!!js',
    '&a',
    '*a',
    '{',
    '[',
  ],
  seeds: [
    'listen: http://0.0.0.0:80\nholdTimeout: 5s\nroutes:\n  app.test:\n    maxInstances: 3\n',
    'listen: [https://0.0.0.0:443, "tcp://[::]:5432?route=db&proxy=v2"]\ntls-dir: /x\n',
    '--listen http://127.0.0.1:0 --hold-timeout 30s --max-held 5 --redis redis://a:1,redis://b:2 --trusted-proxies 10.0.0.0/8',
    '--proxy a:1 b:2 --route *.app.test --concurrency 5 -- node server.js',
    '--rate 10/1s --parallel 4 --command-env A -- start {route}',
    'rediss-sentinel://:password@a:1,b:2/name/3',
    '1h30m',
  ].map(latin1),
  async run(bytes) {
    const text = bytes.toString('latin1');
    const file = join(directory, 'config.yaml');
    writeFileSync(file, bytes);
    await load(() => loadCommand(NODE, ['--config', file], {}));
    const words = text.split(/[ \n]+/).filter((word) => word !== '');
    for (const command of [NODE, LINKER, SCALER]) await load(() => loadCommand(command as typeof NODE, words, {}));
    assertInverse(text, parseListenUrl, formatListenUrl);
    assertInverse(text, parseHostPort, formatHostPort);
    assertInverse(text, parseDuration, formatDuration);
    assertInverse(text, parseSize, formatSize);
    parseAddressRange(text);
    await load(async () => parseRedisUrl(text));
  },
};
