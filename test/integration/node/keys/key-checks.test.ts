/** Questions whether a key exists, to real servers and real commands. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { KeyChecks, RUNNING_MAX } from '../../../../src/node/keys/key-checks.ts';
import { eventually } from '../../../support/eventually.ts';

const NAME = 'app.test~alice';

let server: Server;
let url: string;
let asked: string[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let lines: Record<string, unknown>[];

beforeEach(async () => {
  asked = [];
  lines = [];
  answer = (_request, response) => response.end();
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
});

function checks(allowCommands = true, timeoutMs = 5_000): KeyChecks {
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  return new KeyChecks({ allowCommands, timeoutMs, log });
}

describe('a URL', () => {
  test.each([
    [200, 'yes'],
    [204, 'yes'],
    [404, 'no'],
    [410, 'no'],
    [401, 'no'],
    [302, 'unknown'],
    [408, 'unknown'],
    [429, 'unknown'],
    [500, 'unknown'],
    [503, 'unknown'],
  ])('that is answered with %i says %s', async (status, said) => {
    answer = (_request, response) => response.writeHead(status, { location: `${url}/elsewhere` }).end();
    expect(await checks().ask(NAME, [`${url}/keys/{key}`])).toBe(said);
    // A redirection is not followed.
    expect(asked).toEqual(['/keys/alice']);
    expect(lines.map(({ msg }) => msg)).toEqual(said === 'unknown' ? ['keyCheck gave no answer'] : []);
  });

  test('has the key, the route and the slug where they belong, and nothing of a key changes where it leads', async () => {
    await checks().ask('app.test~a+b@c=.-', [`${url}/{route}/{key}/{slug}?k={key}`]);
    expect(asked).toEqual([expect.stringMatching(/^\/app\.test\/a%2Bb%40c%3D\.-\/[a-z0-9-]{1,40}\?k=a%2Bb%40c%3D\.-$/)]);
  });

  test('where nobody listens, or that is not answered in time, is no answer, and is asked again soon', async () => {
    expect(await checks().ask(NAME, ['http://127.0.0.1:1/{key}'])).toBe('unknown');
    answer = () => {};
    const patient = checks(true, 100);
    expect(await patient.ask(NAME, [`${url}/{key}`])).toBe('unknown');
    answer = (_request, response) => response.end();
    await eventually('it is asked again', async () => (await patient.ask(NAME, [`${url}/{key}`])) === 'yes');
  });

  test('is asked once for all who ask at once, its answer is kept, both ways, and another URL is another question', async () => {
    const one = checks();
    answer = (request, response) => response.writeHead(request.url === '/keys/bob' ? 404 : 200).end();
    const ask = (name: string, path = 'keys') => one.ask(`app.test~${name}`, [`${url}/${path}/{key}`]);
    expect(await Promise.all(Array.from({ length: 50 }, (_, i) => ask(i % 2 === 0 ? 'alice' : 'bob')))).toEqual(
      Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? 'yes' : 'no')),
    );
    expect([await ask('alice'), await ask('bob')]).toEqual(['yes', 'no']);
    expect(asked.toSorted()).toEqual(['/keys/alice', '/keys/bob']);
    await ask('alice', 'other');
    expect(asked).toHaveLength(3);
  });

  test('is never asked for more keys at once than the limit says, and all are answered', async () => {
    let most = 0;
    const open: ServerResponse[] = [];
    // In waves, each as large as it may be: one that is too large is seen.
    answer = (_request, response) => {
      most = Math.max(most, open.push(response));
      const isWave = open.length === RUNNING_MAX || asked.length === 150;
      if (isWave) setTimeout(() => void open.splice(0).map((one) => one.end()), 20);
    };
    const one = checks();
    const answers = await Promise.all(Array.from({ length: 150 }, (_, i) => one.ask(`app.test~k${i}`, [`${url}/{key}`])));
    expect([new Set(answers), answers.length, most]).toEqual([new Set(['yes']), 150, RUNNING_MAX]);
  });
});

describe('a command', () => {
  const shell = (script: string): string[] => ['sh', '-c', script];

  test.each([
    ['exit 0', 'yes'],
    ['exit 1', 'no'],
    ['exit 2', 'unknown'],
    ['kill -9 $$', 'unknown'],
  ])('%s says %s', async (script, said) => {
    expect(await checks().ask(NAME, shell(script))).toBe(said);
  });

  test('that is not there is no answer', async () => {
    expect(await checks().ask(NAME, ['/no/such/program'])).toBe('unknown');
    expect(lines).toEqual([
      expect.objectContaining({ msg: 'keyCheck gave no answer', route: 'app.test', reason: expect.stringContaining('ENOENT') }),
    ]);
  });

  test('has the key in its arguments and environment, and no secrets of the node', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pullproxy-check-'));
    process.env.PULLPROXY_SECRET = 'secret';
    try {
      const file = join(folder, 'seen');
      await checks().ask(NAME, [...shell('{ printf "%s\\n" "$@"; env; } > "$0"'), file, '{route}', '{key}', '{slug}']);
      const seen = readFileSync(file, 'utf8').split('\n');
      expect(seen.slice(0, 3)).toEqual(['app.test', 'alice', expect.stringMatching(/^[a-z0-9-]{1,40}$/)]);
      expect(seen).toEqual(expect.arrayContaining(['ROUTE=app.test', 'KEY=alice']));
      expect(seen.some((line) => line.includes('SECRET'))).toBe(false);
    } finally {
      delete process.env.PULLPROXY_SECRET;
      await rm(folder, { recursive: true });
    }
  });

  test('that hangs is killed with its children', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pullproxy-check-'));
    try {
      const file = join(folder, 'pid');
      expect(await checks(true, 300).ask(NAME, [...shell('sleep 60 & echo $! > "$0"; wait'), file])).toBe('unknown');
      const pid = Number(readFileSync(file, 'utf8'));
      await eventually('its child is gone', () => isGone(pid));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('is not run where that is not allowed, and the log says how to allow it', async () => {
    expect(await checks(false).ask(NAME, shell('exit 0'))).toBe('unknown');
    expect(lines).toEqual([expect.objectContaining({ msg: expect.stringContaining('--allow-key-commands') })]);
  });
});

/** Ended, also if nobody has asked for its exit code yet. */
function isGone(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}
