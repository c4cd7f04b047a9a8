/** The socket at which an application says how much load it takes. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { ConfigError } from '../../../src/errors.ts';
import { Control } from '../../../src/linker/control.ts';
import type { ControlPlace } from '../../../src/linker/control-path.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const controls: Control[] = [];
const directories: string[] = [];

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
  for (const control of controls.splice(0)) control.close();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'control-'));
  directories.push(directory);
  return directory;
}

async function open(place: ControlPlace = 'own'): Promise<Control> {
  const control = await Control.open(place);
  controls.push(control);
  return control;
}

async function refusal(place: ControlPlace): Promise<string> {
  const error: unknown = await open(place).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).message;
}

async function controlled(place?: ControlPlace) {
  const app = await TcpApp.start();
  const node = await FakeNode.start();
  const control = await open(place);
  const running = new RunningLinker({
    proxies: [node.address],
    app: app.address,
    concurrency: 4,
    concurrencyMax: 50,
    version: '1.2.3',
    control,
  });
  const instance = await node.instance();
  await instance.idle(4);
  return {
    app,
    node,
    control,
    running,
    instance,
    ask: (method: string, path: string, body?: string) => ask(control.said, method, path, body),
  };
}

interface Asked {
  readonly status: number;
  readonly json: Record<string, unknown>;
  readonly headers: Record<string, unknown>;
}

function ask(said: string, method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const [host, port] = said.split(':');
    const where = said.startsWith('/') ? { socketPath: said } : { host, port: Number(port) };
    const asked = request({ ...where, method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(text || '{}'), headers: response.headers }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

describe('an application', () => {
  test('sees its instance', async () => {
    const { ask, running } = await controlled();
    expect(await ask('GET', '/')).toMatchObject({
      status: 200,
      json: {
        instance: running.linker.instance,
        route: 'app.example.com',
        state: 'ready',
        concurrency: 4,
        setBy: 'flag',
        active: 0,
        newest: true,
        version: '1.2.3',
      },
    });
  });

  test('sets its limit, and hears it once it is in force', async () => {
    const { ask, instance } = await controlled();
    expect(await ask('PUT', '/concurrency', '7\n')).toMatchObject({
      status: 200,
      json: { concurrency: 7, setBy: 'control', state: 'ready' },
    });
    await instance.idle(7);
    expect(await ask('PUT', '/concurrency', '0')).toMatchObject({ status: 200, json: { concurrency: 0, state: 'paused' } });
    await instance.idle(0);
    expect(await ask('PUT', '/concurrency', '1000000')).toMatchObject({ status: 200, json: { concurrency: 50 } });
    await instance.idle(50);
  });

  test('asks for another instance, and leaves', async () => {
    const { ask, instance, running } = await controlled();
    expect(await ask('POST', '/start')).toMatchObject({ status: 202 });
    await eventually('the node is asked', () => instance.asked.includes('start'));
    expect(await ask('POST', '/leave')).toMatchObject({ status: 202, json: { state: 'draining' } });
    expect(await running.exit).toBe(0);
  });

  test('finds a description of all that', async () => {
    const { ask } = await controlled();
    const { json } = await ask('GET', '/openapi.json');
    expect(json).toMatchObject({ openapi: '3.1.0', info: { version: '1.2.3' } });
    const picture = (await ask('GET', '/')).json;
    const schema = (json as { components: { schemas: { Instance: { required: string[]; properties: object } } } }).components.schemas
      .Instance;
    expect(schema.required.sort()).toEqual(Object.keys(picture).sort());
    expect(Object.keys(schema.properties).sort()).toEqual(Object.keys(picture).sort());
  });
});

describe('what means nothing', () => {
  test.each(['', '-1', '1.5', 'lots', '1 2', '0x8', '8;9'])('the limit %j is refused with words', async (body) => {
    const { ask, running } = await controlled();
    const { status, json } = await ask('PUT', '/concurrency', body);
    expect(status).toBe(400);
    expect(json.error).toContain('expected a whole number');
    expect(running.linker.limit.value).toBe(4);
  });

  test('a long body is refused, and not read on', async () => {
    const { ask, running } = await controlled();
    expect((await ask('PUT', '/concurrency', '9'.repeat(100_000))).status).toBe(413);
    expect(running.linker.limit.value).toBe(4);
  });

  test('other paths and methods are refused', async () => {
    const { ask } = await controlled();
    expect((await ask('GET', '/nothing')).status).toBe(404);
    expect(await ask('DELETE', '/concurrency')).toMatchObject({ status: 405, headers: { allow: 'PUT' } });
    expect((await ask('GET', '/leave')).status).toBe(405);
  });

  test('a number that is broken off sets nothing', async () => {
    const { control, running, ask } = await controlled();
    const socket = connect(control.said).resume();
    socket.write('PUT /concurrency HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n\r\n3');
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.end();
    await new Promise((resolve) => socket.once('close', resolve));
    await ask('GET', '/');
    expect(running.linker.limit.value).toBe(4);
  });

  test('a browser is refused', async () => {
    const { control } = await controlled({ host: '127.0.0.1', port: 0 });
    expect((await ask(control.said, 'POST', '/leave', '', { origin: 'http://evil.example' })).status).toBe(403);
    expect((await ask(control.said, 'POST', '/leave', '', { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
  });

  test('bytes that are no HTTP end their connection, and nothing else', async () => {
    const { control, ask } = await controlled();
    for (let i = 0; i < 100; i++)
      connect(control.said)
        .on('error', () => {})
        .end('\0\x01\x02 nonsense\r\n\r\n');
    expect((await ask('GET', '/')).status).toBe(200);
  });
});

describe('the socket', () => {
  test('and its directory are its user’s only, and go with the instance', async () => {
    const { control, running } = await controlled();
    expect(statSync(control.said).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(control.said)).mode & 0o777).toBe(0o700);
    running.linker.drain();
    await running.exit;
    await eventually('it is gone', () => !existsSync(dirname(control.said)));
  });

  test('in a directory of somebody else is its user’s only, too', async () => {
    const path = join(newDirectory(), 'socket');
    await open(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  const asRoot = process.getuid?.() === 0 ? test : test.skip;
  asRoot('refuses another user', async () => {
    const directory = newDirectory();
    const path = join(directory, 'socket');
    await open(path);
    // Its directory lets everybody in.
    spawnSync('chmod', ['755', directory]);
    const { stderr, status } = spawnSync(
      process.execPath,
      ['-e', `require('node:net').connect(${JSON.stringify(path)}).on('error', (e) => { console.error(e.code); process.exit(3); })`],
      { uid: 65_534, gid: 65_534, encoding: 'utf8', cwd: '/' },
    );
    expect([status, stderr.trim()]).toEqual([3, 'EACCES']);
  });

  test('that is too long says so', async () => {
    expect(await refusal(`/tmp/${'a'.repeat(120)}`)).toMatch(/has 125 bytes, and a socket's path at most 103/);
  });

  test('that is somebody else’s says so, and that one goes on', async () => {
    const path = join(newDirectory(), 'socket');
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await refusal(path)).toMatch(/is in use by another process/);
    expect(existsSync(path)).toBe(true);
    server.close();
  });

  test('that is a file says so, and the file stays', async () => {
    const path = join(newDirectory(), 'file');
    writeFileSync(path, 'text');
    expect(await refusal(path)).toMatch(/exists and is no socket/);
    expect(statSync(path).size).toBe(4);
  });

  test('that a killed process has left is taken', async () => {
    const path = join(newDirectory(), 'socket');
    spawnSync(process.execPath, [
      '-e',
      `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
    ]);
    expect(existsSync(path)).toBe(true);
    const control = await open(path);
    expect((await ask(control.said, 'GET', '/')).status).toBe(503);
  });

  test('in a directory that is not there says so', async () => {
    expect(await refusal('/nowhere/at/all')).toMatch(/can not be listened at/);
  });

  test('may be an address', async () => {
    const { control } = await controlled({ host: '127.0.0.1', port: 0 });
    expect(control.said).toMatch(/^127\.0\.0\.1:\d+$/);
    expect((await ask(control.said, 'PUT', '/concurrency', '3')).json).toMatchObject({ concurrency: 3 });
  });
});

test('more connections than it takes do not keep the others out for long', async () => {
  const { control, ask } = await controlled();
  const many = Array.from({ length: 200 }, () => connect(control.said).on('error', () => {}));
  await eventually('they are there or refused', () => many.every((socket) => socket.readyState !== 'opening'));
  for (const socket of many) socket.destroy();
  await eventually('it answers', async () => (await ask('GET', '/').catch(() => null))?.status === 200);
});

test('the application finds the socket in PULLPROXY_CONTROL', async () => {
  const node = await FakeNode.start();
  const control = await open();
  const file = join(newDirectory(), 'said');
  const script = `require('node:fs').writeFileSync(${JSON.stringify(file)}, process.env.PULLPROXY_CONTROL); require('node:net').createServer().listen(process.env.PORT, '127.0.0.1')`;
  const running = new RunningLinker({ proxies: [node.address], command: [process.execPath, '-e', script], control });
  await running.linker.ready;
  const { readFileSync } = await import('node:fs');
  expect(readFileSync(file, 'utf8')).toBe(control.said);
});
