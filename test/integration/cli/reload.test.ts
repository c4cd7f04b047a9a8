/** SIGHUP, `pullproxy reload` and the admin port: real processes read everything anew, or nothing. */
import { appendFileSync, chmodSync, copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../../support/apps/apps.ts';
import { type Certificate, makeCertificate } from '../../support/certificate.ts';
import { type ClusterNode, startLinker, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { type Running, runCommand, startProcess } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const ROUTE = 'app.test';
const OLD_SECRET = 'the-old-secret-of-all';
const NEW_SECRET = 'the-new-secret-of-all';

interface Reloaded {
  readonly settings: readonly { readonly name: string; readonly outcome: string }[];
}

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-reload-'));
const at = (name: string): string => join(directory, name);
let first: Certificate;
let second: Certificate;
let redis: RedisServer;

beforeAll(async () => {
  first = makeCertificate(ROUTE);
  second = makeCertificate(ROUTE);
  redis = await startRedis();
});
afterAll(async () => {
  await redis?.stop();
  first.remove();
  second.remove();
  rmSync(directory, { recursive: true, force: true });
});

function use({ certFile, keyFile }: { certFile: string; keyFile: string }): void {
  copyFileSync(certFile, at('tls.crt'));
  copyFileSync(keyFile, at('tls.key'));
}

function configure(lines: readonly string[] = []): void {
  const files = [
    `tls-cert: ${at('tls.crt')}`,
    `tls-key: ${at('tls.key')}`,
    `secret-file: ${at('secrets')}`,
    `access-log: ${at('access.log')}`,
  ];
  writeFileSync(at('node.yaml'), [...files, ...lines, ''].join('\n'));
}

async function start(redisUrl: string | null, ...args: string[]): Promise<ClusterNode & { tls: number }> {
  use(first);
  writeFileSync(at('secrets'), `${OLD_SECRET}\n`);
  configure(['routes:', `  ${ROUTE}:`, '    maxHeld: 5', '  other.test:', '    maxHeld: 6']);
  const node = await startNode(redisUrl, ['--listen', 'https://127.0.0.1:0', '--config', at('node.yaml'), ...args], {
    PULLPROXY_SECRET: '',
  });
  const listen = node.ready.listen as string[];
  return { ...node, tls: Number(new URL(listen[1] as string).port) };
}

async function reload({ admin }: ClusterNode): Promise<{ status: number; body: Reloaded & { error?: { code: string; message: string } } }> {
  const response = await fetch(`${admin}/api/v1/reload`, { method: 'POST' });
  return { status: response.status, body: (await response.json()) as Reloaded };
}

function named({ settings }: Reloaded, outcome: string): string[] {
  return settings.filter((one) => one.outcome === outcome).map(({ name }) => name);
}

function client(port: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: ROUTE, rejectUnauthorized: false, session: undefined });
    socket.once('secureConnect', () => resolve(socket)).once('error', reject);
  });
}

async function certificateAt(port: number): Promise<string> {
  const socket = await client(port);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

/** One request on a connection that stays. */
function ask(socket: TLSSocket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  const take = (chunk: Buffer): void => {
    text += chunk.toString('latin1');
    if (text.includes('\r\n\r\n')) resolve(text.split('\r\n', 1)[0] ?? '');
  };
  const closed = (): void => reject(new Error('the connection was closed'));
  socket.on('data', take).on('close', closed);
  const late = setTimeout(() => reject(new Error(`no response, but ${JSON.stringify(text)}`)), 40_000);
  socket.write(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
  return promise.finally(() => {
    clearTimeout(late);
    socket.off('data', take).off('close', closed);
  });
}

const linkerOf = (node: ClusterNode, secret: string): Promise<Running> =>
  startLinker({ proxies: [node.backend], route: ROUTE, concurrency: 2, app: COUNTING_APP }, { PULLPROXY_SECRET: secret });

async function settingsOf(node: ClusterNode, name: string): Promise<unknown> {
  const response = await fetch(`${node.admin}/api/v1/routes/${name}`);
  return response.status === 404 ? null : ((await response.json()) as { settings: unknown }).settings;
}

describe('a node', () => {
  test('reads everything anew on SIGHUP, cuts no connection, and says what needs a restart', async () => {
    const node = await start(null);
    const linker = await linkerOf(node, OLD_SECRET);
    const standing = await client(node.tls);
    const before = standing.getPeerCertificate().fingerprint256;
    expect(await ask(standing)).toBe('HTTP/1.1 200 OK');
    await eventually('both routes are set', async () => (await settingsOf(node, 'other.test')) !== null);

    use(second);
    writeFileSync(at('secrets'), `${OLD_SECRET}\n${NEW_SECRET}\n`);
    renameSync(at('access.log'), at('access.log.1'));
    configure(['log-level: debug', 'hold-timeout: 7s', 'routes:', `  ${ROUTE}:`, '    maxHeld: 9', '  third.test: {}']);
    node.kill('SIGHUP');
    const { changed } = await node.logged(({ msg }) => msg === 'configuration reloaded');
    // What each file watcher found by itself a moment before is no change any more.
    expect(changed).toEqual(expect.arrayContaining(['access-log', 'log-level', 'routes']));
    expect(await node.logged(({ msg }) => msg === 'changed settings count only after a restart')).toMatchObject({
      settings: ['hold-timeout'],
    });

    expect(await certificateAt(node.tls)).not.toBe(before);
    expect(await ask(standing)).toBe('HTTP/1.1 200 OK');
    standing.destroy();
    await eventually('the new access log has lines, the former one has the others', () => {
      const count = (name: string): number => readFileSync(at(name), 'utf8').split('\n').length - 1;
      return count('access.log') >= 1 && count('access.log.1') === 1;
    });
    await eventually('routes', async () => JSON.stringify(await settingsOf(node, ROUTE)) === '{"maxHeld":9}');
    expect(await settingsOf(node, 'third.test')).toEqual({});
    expect(await settingsOf(node, 'other.test')).toBeNull();

    const another = await linkerOf(node, NEW_SECRET);
    writeFileSync(at('secrets'), `${NEW_SECRET}\n`);
    expect((await reload(node)).status).toBe(200);
    // It has proved what counts no longer: no new work, and nothing of what it serves is cut.
    expect(await ask(await client(node.tls))).toBe('HTTP/1.1 200 OK');
    const { body } = await reload(node);
    expect(named(body, 'changed')).toEqual([]);
    expect(named(body, 'needs_restart')).toEqual(['hold-timeout']);
    expect(JSON.stringify(node.logs) + node.text()).not.toMatch(new RegExp(`${OLD_SECRET}|${NEW_SECRET}`));
    expect((await node.stop()).code).toBe(0);
    linker.kill('SIGKILL');
    another.kill('SIGKILL');
  });

  test('changes nothing at all when anything is broken, and says why', async () => {
    const node = await start(null);
    const before = await certificateAt(node.tls);
    const good = readFileSync(at('node.yaml'), 'utf8');
    const key = readFileSync(at('tls.key'));
    const broken: readonly (readonly [what: string, spoil: () => void, says: RegExp])[] = [
      ['half of a file', () => writeFileSync(at('node.yaml'), 'tls-cert: [a\nroutes: {'), /--config .*YAML/],
      ['an empty file', () => writeFileSync(at('node.yaml'), ''), /the file is empty/],
      ['no file', () => unlinkSync(at('node.yaml')), /--config .*can be read \(ENOENT\)/],
      ['an unknown key', () => writeFileSync(at('node.yaml'), `${good}log-levle: debug\n`), /log-levle/],
      ['a bad route', () => writeFileSync(at('node.yaml'), `${good}  "x y": {}\n`), /x y/],
      ['a directory for a file', () => configure([`backend-tls-cert: ${directory}`, `backend-tls-key: ${directory}`]), /EISDIR/],
      ['no certificate', () => writeFileSync(at('tls.crt'), ''), /--tls-cert .*PEM/],
      ['another certificate', () => copyFileSync(second.certFile, at('tls.crt')), /--tls-cert .*each with its own key/],
      ['no key', () => rmSync(at('tls.key')), /--tls-key .*ENOENT/],
      ['no secret', () => writeFileSync(at('secrets'), '# none\n'), /a secret in it/],
      [
        'a log that can not be',
        () => writeFileSync(at('node.yaml'), good.replace(at('access.log'), at('none/access.log'))),
        /--access-log/,
      ],
    ];
    for (const [what, spoil, says] of broken) {
      spoil();
      const { status, body } = await reload(node);
      expect([what, status, body.error?.code]).toEqual([what, 422, 'configuration_refused']);
      expect(body.error?.message).toMatch(says);
      node.kill('SIGHUP');
      use(first);
      writeFileSync(at('tls.key'), key);
      writeFileSync(at('node.yaml'), good);
      writeFileSync(at('secrets'), `${OLD_SECRET}\n`);
    }
    expect(await node.logged(({ msg }) => msg === 'the new configuration can not be used: nothing was changed')).toMatchObject({
      level: 50,
    });
    expect(await certificateAt(node.tls)).toBe(before);
    const { body } = await reload(node);
    expect([named(body, 'changed'), named(body, 'needs_restart')]).toEqual([[], []]);
    // One whose file this user may not read; the superuser may read all.
    if (process.getuid?.() !== 0) {
      chmodSync(at('tls.key'), 0);
      expect((await reload(node)).body.error?.message).toMatch(/EACCES/);
      chmodSync(at('tls.key'), 0o600);
    }
    expect((await node.stop()).code).toBe(0);
  });

  test('waits for whoever writes the file: no route is deleted because half of it was there', async () => {
    const node = await start(null);
    await eventually('both routes are set', async () => (await settingsOf(node, 'other.test')) !== null);
    const whole = `${readFileSync(at('node.yaml'), 'utf8')}  third.test: {}\n`;
    const half = whole.slice(0, whole.indexOf('  other.test'));
    writeFileSync(at('node.yaml'), half);
    const asked = reload(node);
    await delay(20);
    appendFileSync(at('node.yaml'), whole.slice(half.length));
    expect(named((await asked).body, 'changed')).toEqual(['routes']);
    await eventually('the third is set', async () => (await settingsOf(node, 'third.test')) !== null);
    expect(await settingsOf(node, 'other.test')).toEqual({ maxHeld: 6 });
    await node.stop();
  });

  test('takes a storm of signals, and is not reloaded while it leaves', async () => {
    const node = await start(null, '--drain-delay', '2s');
    const linker = await linkerOf(node, OLD_SECRET);
    const standing = await client(node.tls);
    for (let i = 0; i < 500; i++) {
      if (i % 2 === 0) use(i % 4 === 0 ? second : first);
      node.kill('SIGHUP');
      if (i % 50 === 0) expect(await ask(standing)).toBe('HTTP/1.1 200 OK');
    }
    use(second);
    await eventually('the last one counts', async () => named((await reload(node)).body, 'changed').length === 0);
    expect(await ask(standing)).toBe('HTTP/1.1 200 OK');
    node.kill('SIGTERM');
    await node.logged(({ msg }) => msg === 'node draining');
    node.kill('SIGHUP');
    await node.logged(({ msg }) => msg === 'nothing is reloaded: this process leaves');
    expect(await reload(node)).toMatchObject({ status: 409, body: { error: { code: 'not_reloaded' } } });
    standing.destroy();
    expect(await node.exit).toEqual({ code: 0, signal: null });
    linker.kill('SIGKILL');
  });

  test('does as the admin token is told, and says so through the command', async () => {
    const node = await start(null);
    const admin = new URL(node.admin).host;
    const command = (...args: string[]) => runCommand(['reload', '--admin', admin, ...args]);
    expect(await command()).toMatchObject({ code: 0, stdout: expect.stringContaining('changed: nothing\nunchanged: ') });
    configure(['admin-token: a-token', 'hold-timeout: 9s']);
    expect(await command()).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^changed: admin-token, routes\nneeds a restart: hold-timeout\n/),
    });
    expect(await command()).toMatchObject({ code: 1, stderr: expect.stringMatching(/refuses with 401/) });
    expect(await command('--admin-token', 'a-token', '--json')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/"outcome": "needs_restart"/),
    });
    configure(['hold-timeout: nonsense']);
    const refused = await command('--admin-token', 'a-token');
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/refuses with 422: nothing was changed: .*hold-timeout "nonsense"/),
    });
    await node.stop();
    expect(await command()).toMatchObject({ code: 1, stderr: expect.stringMatching(/no admin port of a node responds/) });
    expect((await runCommand(['reload'])).code).toBe(2);
    expect((await runCommand(['reload', 'x', '--admin', admin])).code).toBe(2);
  });
});

describe('through Redis', () => {
  test('a node is asked by its name, and what came of it is said', async () => {
    const node = await start(redis.url, '--id', 'named');
    const command = (name: string) => runCommand(['reload', name, '--redis', redis.url]);
    configure(['access-log-sample: 0.5']);
    expect(await command('named')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^named has read its configuration anew; changed: routes, access-log-sample/),
    });
    configure(['access-log-sample: 5']);
    expect(await command('named')).toMatchObject({ code: 1, stderr: expect.stringMatching(/nothing was changed: .*access-log-sample/) });
    expect(await command('nobody')).toMatchObject({ code: 1, stderr: expect.stringMatching(/there is no node nobody/) });
    await node.stop();
  });

  test('workers reload together, whichever way they are asked, and one that can not keeps it from all', async () => {
    const node = await start(redis.url, '--id', 'many', '--workers', '2');
    const linker = await linkerOf(node, OLD_SECRET);
    const standing = await client(node.tls);
    const before = standing.getPeerCertificate().fingerprint256;
    expect(await ask(standing)).toBe('HTTP/1.1 200 OK');
    writeFileSync(at('secrets'), '# none\n');
    use(second);
    expect(await reload(node)).toMatchObject({ status: 422 });
    writeFileSync(at('secrets'), `${NEW_SECRET}\n${OLD_SECRET}\n`);
    configure(['log-level: debug', 'hold-timeout: 3s', 'admin-token: token']);
    node.kill('SIGHUP');
    await eventually('the supervisor and both workers', () => node.logs.filter(({ msg }) => msg === 'configuration reloaded').length === 3);
    for (let i = 0; i < 6; i++) expect(await certificateAt(node.tls)).not.toBe(before);
    expect(await ask(standing)).toBe('HTTP/1.1 200 OK');
    expect((await reload(node)).status).toBe(401);
    const asked = await fetch(`${node.admin}/api/v1/reload`, { method: 'POST', headers: { authorization: 'Bearer token' } });
    expect(named((await asked.json()) as Reloaded, 'needs_restart')).toEqual(['hold-timeout']);

    configure(['log-level: warn']);
    expect(await runCommand(['reload', 'many.2', '--redis', redis.url])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^many\.2 has read its configuration anew; changed: .*log-level/),
    });
    const lines = (): number => node.logs.filter(({ msg }) => msg === 'configuration reloaded').length;
    const quiet = lines();
    expect((await reload(node)).status).toBe(200);
    configure();
    expect((await reload(node)).status).toBe(200);
    await eventually('three more, and none while only warnings were written', () => lines() === quiet + 3);
    expect(await ask(standing)).toBe('HTTP/1.1 200 OK');
    standing.destroy();
    linker.kill('SIGKILL');
    await node.stop();
  });
});

test('a scaler, a linker without a node, and dev live through SIGHUP or end in order', async () => {
  const scaler = await startProcess(['scaler', '--redis', redis.url, '--admin', '127.0.0.1:0', '--', 'true']);
  for (let i = 0; i < 20; i++) scaler.kill('SIGHUP');
  await scaler.logged(({ msg }) => msg === 'a signal without a meaning here was ignored');
  const response = await fetch(`http://${String(scaler.ready.admin)}/api/v1/reload`, { method: 'POST' });
  expect([response.status, await response.json()]).toMatchObject([409, { error: { code: 'not_reloadable' } }]);
  expect(await scaler.stop()).toEqual({ code: 0, signal: null });

  const node = await start(null);
  const linker = await linkerOf(node, OLD_SECRET);
  for (let i = 0; i < 20; i++) linker.kill('SIGHUP');
  expect((await fetch(node.url, { headers: { host: ROUTE } }).catch(() => ({ status: 0 }))).status).not.toBe(0);
  await node.stop();
  linker.kill('SIGHUP');
  expect(await linker.stop()).toEqual({ code: 0, signal: null });
});
