/** Docker's API at a socket that says anything, or nothing: the source tells what it has seen, or that nothing answers, and goes on. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createRawServer, type Server as RawServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { DockerSource } from '../../../src/discovery/docker/docker-source.ts';
import type { Picture } from '../../../src/discovery/source.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory } from '../../support/processes.ts';

const PATIENCE_MS = 60_000;
jest.setTimeout(120_000);

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const ID = (n: number): string => n.toString(16).padStart(64, 'a');

function container(n: number, labels: Record<string, string>, more: object = {}): object {
  const said = Object.fromEntries(
    Object.entries({ route: `r${n}.test`, port: '80', ...labels }).map(([key, value]) => [`pullproxy.${key}`, value]),
  );
  return { Id: ID(n), Names: [`/c${n}`], State: 'exited', Created: 1_000 + n, Labels: said, ...more };
}

class FakeDocker {
  readonly path = join(ownDirectory(), 'docker.sock');
  readonly asked: string[] = [];
  readonly streams = new Set<ServerResponse>();
  containers: unknown = [];
  /** Instead of the usual answer. */
  odd: Answer | null = null;
  #server: Server | RawServer | null = null;
  readonly #sockets = new Set<Socket>();

  async open(raw?: (socket: Socket) => void): Promise<void> {
    this.#server = raw === undefined ? createServer((request, response) => this.#answer(request, response)) : createRawServer(raw);
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => this.#server?.listen(this.path, resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server?.close(resolve) ?? resolve(null));
    this.#server = null;
  }

  tell(text: string): void {
    for (const stream of this.streams) stream.write(text);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').replace(/\?.*/, '').replace(/^\/v1\.\d+/, '');
    this.asked.push(`${request.method} ${path}`);
    if (this.odd !== null) this.odd(request, response);
    else if (path === '/_ping') response.setHeader('Api-Version', '1.41').end('OK');
    else if (path === '/info') response.end(JSON.stringify({ Name: 'nas', ID: 'ABCD:EFGH:IJKL' }));
    else if (path === '/containers/json') response.end(JSON.stringify(this.containers));
    else if (path === '/events') {
      response.flushHeaders();
      this.streams.add(response);
      response.on('close', () => this.streams.delete(response));
    } else response.writeHead(404).end('{"message":"no such container"}');
  }
}

describe('the source of Docker', () => {
  const docker = { now: new FakeDocker() };
  const ended: { stop: AbortController; following: Promise<void> }[] = [];

  afterEach(async () => {
    for (const { stop, following } of ended.splice(0)) {
      stop.abort();
      await following;
    }
    await docker.now.close();
    docker.now = new FakeDocker();
  });

  function follow(label?: string): { pictures: Picture[]; away: string[] } {
    const seen = { pictures: [] as Picture[], away: [] as string[] };
    const source = new DockerSource({ said: `unix://${docker.now.path}`, socketPath: docker.now.path }, label);
    const stop = new AbortController();
    const events = { seen: (picture: Picture) => void seen.pictures.push(picture), away: (reason: string) => void seen.away.push(reason) };
    ended.push({ stop, following: source.follow(events, stop.signal) });
    return seen;
  }

  const last = ({ pictures }: { pictures: Picture[] }): Picture | undefined => pictures.at(-1);
  const routesOf = (picture: Picture | undefined): string[] => (picture?.units ?? []).map(({ declared }) => declared.route).sort();

  test('tells all containers with the label, and again after each event', async () => {
    docker.now.containers = [container(1, {}), container(2, {})];
    await docker.now.open();
    const seen = follow('home=yes');
    await eventually('both are seen', () => routesOf(last(seen)).length === 2, PATIENCE_MS);
    expect(last(seen)).toMatchObject({ source: 'docker@nas-abcdefgh', problems: [] });
    docker.now.containers = [container(2, {}), container(3, {}, { State: 'running' })];
    docker.now.tell('{"Type":"container","Action":"create","Actor":{"ID":"x"}}\n');
    await eventually('the change is seen', () => routesOf(last(seen)).join() === 'r2.test,r3.test', PATIENCE_MS);
    const running = last(seen)?.units.filter(({ run }) => run !== null) ?? [];
    expect(running.map(({ said }) => said)).toEqual(['container c3']);
  });

  test('does not look again after what changes no container, such as each check of its health', async () => {
    docker.now.containers = [container(1, {})];
    await docker.now.open();
    const seen = follow();
    await eventually('it follows', () => last(seen) !== undefined && docker.now.streams.size === 1, PATIENCE_MS);
    const event = (action: string): string => `${JSON.stringify({ Type: 'container', Action: action, Actor: { ID: ID(1) } })}\n`;
    const looks = (): number => docker.now.asked.filter((one) => one === 'GET /containers/json').length;
    const before = looks();
    for (const action of ['exec_create: curl -f x', 'exec_start: curl -f x', 'exec_die', 'health_status: healthy', 'top']) {
      docker.now.tell(event(action));
      // Long enough for a look where one follows.
      await delay(100);
    }
    expect(looks()).toBe(before);
    docker.now.containers = [container(2, {})];
    docker.now.tell(event('start'));
    await eventually('the change is seen', () => routesOf(last(seen)).join() === 'r2.test', PATIENCE_MS);
  });

  test('does not take one that has just died for one that runs, as the list may show it for a moment', async () => {
    docker.now.containers = [container(1, {}, { State: 'running' })];
    await docker.now.open();
    const seen = follow();
    const runs = (): boolean => last(seen)?.units[0]?.run != null;
    await eventually('it runs', () => runs() && docker.now.streams.size === 1, PATIENCE_MS);
    const event = (action: string): string => `${JSON.stringify({ Type: 'container', Action: action, Actor: { ID: ID(1) } })}\n`;
    const pictures = seen.pictures.length;
    docker.now.tell(event('die'));
    await eventually('it has looked', () => seen.pictures.length > pictures, PATIENCE_MS);
    expect(runs()).toBe(false);
    docker.now.tell(event('start'));
    await eventually('it runs again', runs, PATIENCE_MS);
  });

  test('leaves containers out that it can not use, each with its reason, and those that others have', async () => {
    docker.now.containers = [
      container(1, {}),
      container(2, { port: 'x' }),
      container(3, { startedBy: 'command' }),
      { ...container(4, {}), Labels: { 'pullproxy.route': 'r4.test', 'com.docker.swarm.service.name': 's' } },
      { Id: 'no id', Labels: { 'pullproxy.route': 'r5.test' } },
      null,
      'x',
      [[[]]],
    ];
    await docker.now.open();
    const seen = follow();
    await eventually('it is seen', () => last(seen) !== undefined, PATIENCE_MS);
    expect(routesOf(last(seen))).toEqual(['r1.test']);
    expect(last(seen)?.problems.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^container c4: pullproxy\.route "r4\.test": expected none at a container of a Swarm service/),
      expect.stringMatching(/^container c2: pullproxy\.port "x": expected a whole number/),
    ]);
  });

  test('takes at most a thousand, the newest', async () => {
    docker.now.containers = Array.from({ length: 1_200 }, (_, n) => container(n, { route: 'all.test' }));
    await docker.now.open();
    const seen = follow();
    await eventually('they are seen', () => last(seen) !== undefined, PATIENCE_MS);
    expect(last(seen)?.units).toHaveLength(1_000);
    expect(last(seen)?.units.some(({ id }) => id === ID(0))).toBe(false);
    expect(last(seen)?.problems).toEqual([
      { route: null, text: '200 containers are left out: at most 1000 with pullproxy.route are used' },
    ]);
  });

  test('says that Docker is away, tries again, and sees what is there when it is back', async () => {
    const seen = follow();
    await eventually('it is away', () => seen.away.length >= 2, PATIENCE_MS);
    expect(seen.away[0]).toBe(`there is no unix://${docker.now.path}: does Docker run, and is the socket mounted?`);
    docker.now.containers = [container(1, {}, { State: 'running' })];
    await docker.now.open();
    await eventually('it is seen', () => routesOf(last(seen)).join() === 'r1.test', PATIENCE_MS);
    const before = seen.away.length;
    docker.now.tell('{}\n');
    const pictures = seen.pictures.length;
    await eventually('it goes on, although the container can not be looked at', () => seen.pictures.length > pictures, PATIENCE_MS);
    expect(seen.away).toHaveLength(before);
    await docker.now.close();
    await eventually('it is away again', () => seen.away.length > before, PATIENCE_MS);
    docker.now.containers = [container(2, {})];
    await docker.now.open();
    await eventually('it is back', () => routesOf(last(seen)).join() === 'r2.test', PATIENCE_MS);
  });

  test.each<[string, (bytes: Socket) => void, RegExp]>([
    ['closes each connection', (socket) => socket.destroy(), /can not be reached|broken off|hang up/],
    ['says what is not HTTP', (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'), /can not be reached/],
    [
      'begins a head that does not end',
      (socket) => void socket.write(`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(100_000)}`),
      /can not be reached/,
    ],
    [
      'breaks off its answer',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{'),
      /broken off|can not be reached|aborted/,
    ],
  ])('that %s is away, in words', async (_, speak, words) => {
    await docker.now.open((socket) => void socket.on('error', () => {}).once('data', () => speak(socket)));
    const seen = follow();
    await eventually('it is away', () => seen.away.length >= 1, PATIENCE_MS);
    expect(seen.away[0]).toMatch(words);
    expect(seen.pictures).toEqual([]);
  });

  test.each<[string, unknown, RegExp]>([
    ['no JSON', 'nonsense', /no JSON|list of containers/],
    ['no list', '{"message":"x"}', /no list of containers/],
    ['nothing', '', /no list of containers/],
    ['an error', null, /Docker says: the disk is full/],
  ])('that answers with %s is away, in words', async (_, body, words) => {
    docker.now.odd = (request, response) => {
      if (request.url?.includes('/events')) response.flushHeaders();
      else if (!request.url?.includes('/containers/json')) response.end('{}');
      else if (body === null) response.writeHead(500).end('{"message":"the disk is full"}');
      else response.end(String(body));
    };
    await docker.now.open();
    const seen = follow();
    await eventually('it is away', () => seen.away.length >= 1, PATIENCE_MS);
    expect(seen.away[0]).toMatch(words);
  });

  test('that answers without end is away', async () => {
    docker.now.odd = (_, response) => {
      const chunk = Buffer.alloc(1_048_576, ' ');
      const more = (): void => void (response.destroyed || response.write(chunk, more));
      more();
    };
    await docker.now.open();
    const seen = follow();
    await eventually('it is away', () => seen.away.length >= 1, PATIENCE_MS);
    expect(seen.away[0]).toBe('Docker has answered with more than 33554432 bytes');
  });

  test('that sends an event without end is left, and asked anew', async () => {
    docker.now.containers = [container(1, {})];
    await docker.now.open();
    const seen = follow();
    await eventually('it is seen', () => last(seen) !== undefined, PATIENCE_MS);
    docker.now.tell('x'.repeat(300_000));
    await eventually('it is away', () => seen.away.length === 1, PATIENCE_MS);
    expect(seen.away[0]).toBe('Docker has sent a line of more than 262144 characters');
    const before = seen.pictures.length;
    await eventually('it is seen again', () => seen.pictures.length > before, PATIENCE_MS);
  });

  test('that sends events that mean nothing, or very many of them, is asked in turn, not for each', async () => {
    docker.now.containers = [container(1, {})];
    await docker.now.open();
    const seen = follow();
    await eventually('it is seen', () => last(seen) !== undefined, PATIENCE_MS);
    const before = docker.now.asked.length;
    for (let i = 0; i < 5_000; i++) docker.now.tell(`{"Action":"die","Actor":{"ID":"${ID(1)}"}}\nnull\n{\n\n[1]\n`);
    const pictures = seen.pictures.length;
    await eventually('it has looked again', () => seen.pictures.length > pictures, PATIENCE_MS);
    expect(docker.now.asked.length - before).toBeLessThan(500);
    expect([seen.away, routesOf(last(seen))]).toEqual([[], ['r1.test']]);
  });

  test('asks in the oldest version that a new Docker speaks', async () => {
    const asked: string[] = [];
    docker.now.odd = (request, response) => {
      asked.push(request.url ?? '');
      response.setHeader('Api-Version', '1.52').end('[]');
    };
    await docker.now.open();
    follow();
    await eventually('it was asked', () => asked.length >= 2, PATIENCE_MS);
    expect(asked.slice(0, 2)).toEqual(['/_ping', '/v1.44/info']);
  });
});
