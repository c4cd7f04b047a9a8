/** Applications that pull by themselves, behind a real node: the same rules as with a linker beside them, in one process. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { WebSocket, WebSocketServer } from 'ws';
import { ConfigError } from '../../../src/errors.ts';
import { type Handler, type Instance, type PullOptions, pull } from '../../../src/pull/pull.ts';
import { ask, crowd, statuses } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { type Running, startProcess } from '../../support/processes.ts';

const ROUTE = 'app.example.com';
const SECRET = 'the secret of this route';
const MEGABYTES = 32;

let node: Running;
let url: string;
let proxy: string;
const instances: Instance[] = [];

beforeEach(async () => {
  node = await startProcess([
    'node',
    '--listen',
    'http://127.0.0.1:0',
    '--backend',
    '127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    '--secret',
    SECRET,
  ]);
  const ready = node.ready as { listen: string[]; backend: string; admin: string };
  url = ready.listen[0] as string;
  proxy = ready.backend;
  const headers = { 'content-type': 'application/json' };
  const { status } = await fetch(`http://${ready.admin}/api/v1/routes/${ROUTE}`, { method: 'PUT', body: '{"holdTimeout":"60s"}', headers });
  expect(status).toBe(200);
});

afterEach(async () => {
  await Promise.all(instances.splice(0).map((instance) => instance.leave()));
  await node.stop();
});

async function pulled(handler: Handler, options: Partial<PullOptions> = {}): Promise<Instance> {
  const instance = await pull(handler, { proxy, route: ROUTE, secret: SECRET, ...options });
  instances.push(instance);
  return instance;
}

const get = (path = '/', headers: Record<string, string> = {}) => ask(url, { host: ROUTE, path, headers });

describe('an application that pulls', () => {
  test('may be a request listener, a server, a fetch handler, or what has one', async () => {
    const hono = new Hono().get('/:name', (context) => context.text(`hono ${context.req.param('name')}`));
    const app = express().get('/:name', (asked, response) => {
      response.send(`express ${asked.params.name}`);
    });
    const quick = fastify();
    quick.get('/:name', (asked) => `fastify ${(asked.params as { name: string }).name}`);
    await quick.ready();
    const handlers: readonly (readonly [string, Handler])[] = [
      ['listener', (asked, response) => response.end(`listener ${asked.url?.slice(1)}`)],
      ['server', createServer((asked, response) => response.end(`server ${asked.url?.slice(1)}`))],
      ['fetch', (asked: Request) => new Response(`fetch ${new URL(asked.url).pathname.slice(1)}`)],
      ['hono', hono],
      ['express', app],
      ['fastify', quick.server],
    ];
    for (const [name, handler] of handlers) {
      const instance = await pulled(handler);
      const { status, body } = await get('/x');
      expect([status, body]).toEqual([200, `${name} x`]);
      await instance.leave();
    }
  });

  test('never has more requests than it said, also while it says so', async () => {
    let now = 0;
    let most = 0;
    let limit = 3;
    const over: number[] = [];
    const handler = (_: IncomingMessage, response: ServerResponse): void => {
      most = Math.max(most, ++now);
      if (now > limit) over.push(now);
      setTimeout(() => {
        now--;
        response.end('done');
      }, 5);
    };
    const instance = await pulled(handler, { concurrency: limit });
    const set = (to: number): void => {
      // Those that it has may end in their time.
      limit = Math.max(to, now);
      instance.concurrency = to;
    };
    const answers = crowd(300, () => url, { host: ROUTE });
    await eventually('it is busy', () => now === 3);
    set(1);
    await eventually('it has shrunk', () => now <= 1);
    limit = 1;
    set(0);
    await eventually('it has paused', () => now === 0);
    limit = 0;
    expect(instance.concurrency).toBe(0);
    set(8);
    expect(statuses(await answers)).toEqual({ 200: 300 });
    expect([over, most]).toEqual([[], 8]);
    await eventually('all slots are free', () => instance.inUse === 0);
  });

  test('serves bodies in both directions, with back-pressure', async () => {
    const chunk = Buffer.alloc(1_048_576, 'x');
    await pulled(async (asked: IncomingMessage, response: ServerResponse) => {
      let bytes = 0;
      for await (const part of asked) bytes += (part as Buffer).length;
      response.setHeader('uploaded', bytes);
      for (let i = 0; i < MEGABYTES; i++) if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve));
      response.end();
    });
    const { headers, body } = await ask(url, { host: ROUTE, method: 'POST', body: Buffer.alloc(MEGABYTES * 1_048_576, 'y') });
    expect([headers.uploaded, body.length]).toEqual([String(MEGABYTES * 1_048_576), MEGABYTES * 1_048_576]);
  });

  test('hears when its client has gone, and its slot is free then', async () => {
    const aborted = Promise.withResolvers<string>();
    const instance = await pulled(
      (asked: Request) =>
        new Promise<Response>((resolve) => {
          if (new URL(asked.url).pathname === '/quick') return resolve(new Response('quick'));
          asked.signal.addEventListener('abort', () => aborted.resolve(asked.url));
        }),
      { concurrency: 1 },
    );
    const client = request(new URL('/slow', url), { headers: { host: ROUTE, 'x-forwarded-proto': 'https' } });
    client.on('error', () => {}).end();
    await eventually('it is served', () => instance.inUse === 1);
    client.destroy();
    expect(await aborted.promise).toBe(`http://${ROUTE}/slow`);
    expect((await get('/quick')).body).toBe('quick');
  });

  test('upgrades to WebSocket', async () => {
    const server = createServer();
    new WebSocketServer({ server }).on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${String(data)}`)));
    await pulled(server);
    const socket = new WebSocket(url.replace('http', 'ws'), { headers: { host: ROUTE } });
    const heard = new Promise((resolve) => socket.on('message', (data) => resolve(String(data))));
    socket.on('open', () => socket.send('hello'));
    expect(await heard).toBe('echo hello');
    socket.close();
  });

  test('leaves when it says so: what runs ends, nothing new comes, and it says that it has left', async () => {
    const release = Promise.withResolvers<void>();
    const first = await pulled(async (_: IncomingMessage, response: ServerResponse) => {
      await release.promise;
      response.end('first');
    });
    const running = get();
    await eventually('it is served', () => first.inUse === 1);
    let isLeft = false;
    first.on('left', () => {
      isLeft = true;
    });
    const leaving = first.leave();
    const second = await pulled((_: IncomingMessage, response: ServerResponse) => response.end('second'));
    expect((await get()).body).toBe('second');
    expect(isLeft).toBe(false);
    release.resolve();
    expect((await running).body).toBe('first');
    await leaving;
    expect(isLeft).toBe(true);
    expect(second.id).not.toBe(first.id);
  });

  test('hears that it is no longer the newest', async () => {
    const heard: boolean[] = [];
    const first = await pulled((_: IncomingMessage, response: ServerResponse) => response.end('first'));
    first.on('newest', (isNewest) => heard.push(isNewest));
    await pulled((_: IncomingMessage, response: ServerResponse) => response.end('second'));
    await eventually('the first one is told', () => heard.includes(false));
    expect((await get()).body).toBe('second');
  });

  test('is served on when a handler throws', async () => {
    await pulled(async (asked: Request) => {
      if (new URL(asked.url).pathname === '/bad') throw new Error('a fault of the application');
      return new Response('good');
    });
    expect((await get('/bad')).status).toBe(500);
    expect((await get('/good')).body).toBe('good');
  });

  test('is refused with options that can not be, all of them named, and links nobody', async () => {
    const refusal = async (handler: unknown, options: unknown): Promise<string> => {
      const error: unknown = await pull(handler as Handler, options as PullOptions).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConfigError);
      return (error as Error).message;
    };
    const listener = (_: IncomingMessage, response: ServerResponse) => response.end();
    expect(await refusal(listener, { proxy: 'nowhere', route: 'a b', concurrency: -1 })).toMatch(/proxy.*\n.*route.*\n.*concurrency/);
    expect(await refusal(listener, {})).toMatch(/proxy is missing.*\n.*route is missing/s);
    expect(await refusal(listener, { proxy, route: ROUTE, concurency: 3 })).toContain('concurency: expected one of the options');
    expect(await refusal(() => {}, { proxy, route: ROUTE })).toContain('a function without parameters: expected');
    expect(await refusal(undefined, { proxy, route: ROUTE })).toContain('handler: undefined: expected');
    const instance = await pulled(listener);
    for (const limit of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => {
        instance.concurrency = limit;
      }).toThrow(RangeError);
    }
  });
});
