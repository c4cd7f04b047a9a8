/** Routes that say by `match` which hosts and paths belong to them: real commands, real clients. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, createServer as createHttp2Server } from 'node:http2';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Instance, pull } from '../../../src/pull/pull.ts';
import { ask } from '../../support/clients.ts';
import { type Running, startProcess } from '../../support/processes.ts';
import { closeClients, connectClient } from '../../support/raw-client.ts';

const instances: Instance[] = [];
const ends: (() => void)[] = [];
let node: Running;

afterEach(async () => {
  closeClients();
  for (const end of ends.splice(0)) end();
  await Promise.all(instances.splice(0).map((instance) => instance.leave()));
  await node.stop();
});

async function start(): Promise<{ url: string; admin: string; backend: string }> {
  node = await startProcess(['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0']);
  const { listen, admin, backend } = node.ready as { listen: string[]; admin: string; backend: string };
  return { url: listen[0] as string, admin, backend };
}

async function put(admin: string, name: string, settings: object): Promise<{ status: number; text: string }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`http://${admin}/api/v1/routes/${name}`, { method: 'PUT', body: JSON.stringify(settings), headers });
  return { status: response.status, text: await response.text() };
}

/** Says which route it is, and what it was asked. */
async function serve(backend: string, route: string): Promise<void> {
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    response.end(JSON.stringify([route, request.url, request.headers['x-forwarded-prefix'] ?? null]));
  };
  instances.push(await pull(handler, { proxy: backend, route }));
}

describe('two hosts and two prefixes', () => {
  test('lead to their applications, without the prefix where the route says so', async () => {
    const { url, admin, backend } = await start();
    for (const [name, settings] of [
      ['shop', { match: 'shop.test,www.shop.test' }],
      ['api', { match: ['shop.test/api', 'api.test'], stripPrefix: true }],
      ['admin', { match: 'shop.test/api/admin' }],
    ] as const) {
      expect(await put(admin, name, settings)).toMatchObject({ status: 200 });
      await serve(backend, name);
    }
    const got = async (host: string, path: string, headers = {}): Promise<unknown> => {
      const { status, body } = await ask(url, { host, path, headers });
      return status === 200 ? JSON.parse(body) : status;
    };
    expect(await got('shop.test', '/x?a=/api')).toEqual(['shop', '/x?a=/api', null]);
    expect(await got('www.shop.test', '/api')).toEqual(['shop', '/api', null]);
    expect(await got('shop.test', '/api')).toEqual(['api', '/', '/api']);
    expect(await got('shop.test', '/api?a=1')).toEqual(['api', '/?a=1', '/api']);
    expect(await got('shop.test', '/api/a%2Fb?c')).toEqual(['api', '/a%2Fb?c', '/api']);
    expect(await got('api.test', '/api/x')).toEqual(['api', '/api/x', null]);
    expect(await got('shop.test', '/api/admin/x')).toEqual(['admin', '/api/admin/x', null]);
    // What a client says of a prefix is nobody's word.
    expect(await got('shop.test', '/api/x', { 'x-forwarded-prefix': '/evil' })).toEqual(['api', '/x', '/api']);
    expect(await got('api.test', '/x', { 'x-forwarded-prefix': '/evil' })).toEqual(['api', '/x', null]);
    expect(await got('shop', '/')).toBe(404);
    expect(await got('shop.test', '/x/..%2fapi/admin')).toBe(400);
    expect(await got('shop.test', '/api/%61dmin')).toBe(400);
    // An absolute-form target says the host.
    const client = await connectClient(Number(new URL(url).port));
    client.send('GET http://shop.test/api/y HTTP/1.1\r\nHost: other.test\r\n\r\n');
    expect(JSON.parse((await client.response()).body.toString())).toEqual(['api', '/y', '/api']);
  });

  test('over HTTP/2, to applications that speak HTTP/1.1 and HTTP/2', async () => {
    const { url, admin, backend } = await start();
    expect(await put(admin, 'one', { match: 'h.test/one', stripPrefix: true })).toMatchObject({ status: 200 });
    expect(await put(admin, 'two', { match: 'h.test/two', stripPrefix: true, protocol: 'h2c' })).toMatchObject({ status: 200 });
    await serve(backend, 'one');
    const app = createHttp2Server((request, response) => {
      response.end(JSON.stringify(['two', request.url, request.headers['x-forwarded-prefix'] ?? null]));
    });
    ends.push(() => app.close());
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    const at = `127.0.0.1:${(app.address() as { port: number }).port}`;
    const linker = await startProcess(['linker', '--proxy', backend, '--route', 'two', '--app', at]);
    const session = connect(url);
    ends.push(() => session.destroy());
    const got = (path: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ':path': path, ':authority': 'h.test', 'x-forwarded-prefix': '/evil' });
        let status = 0;
        let body = '';
        stream.on('response', (headers) => {
          status = Number(headers[':status']);
        });
        stream.on('data', (part) => {
          body += String(part);
        });
        stream.on('end', () => resolve(status === 200 ? JSON.parse(body) : status));
        stream.on('error', reject);
      });
    expect(await got('/one/x?y')).toEqual(['one', '/x?y', '/one']);
    expect(await got('/two/x?y')).toEqual(['two', '/x?y', '/two']);
    expect(await got('/two')).toEqual(['two', '/', '/two']);
    expect(await got('/three')).toBe(404);
    expect(await got('/one/../two')).toBe(400);
    await linker.stop();
  });

  test('that belong to another route are refused, and nothing is changed', async () => {
    const { admin } = await start();
    expect(await put(admin, 'one', { match: 'a.test/x' })).toMatchObject({ status: 200 });
    const refused = await put(admin, 'two', { match: 'b.test,a.test/x/' });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('this one belongs to the route one');
    expect((await put(admin, 'three', { match: 'a.test/..' })).status).toBe(400);
    const { routes } = (await (await fetch(`http://${admin}/api/v1/state`)).json()) as { routes: { name: string }[] };
    expect(routes.map(({ name }) => name)).toEqual(['one']);
    expect(await put(admin, 'one', { match: 'a.test/x, a.test/y' })).toMatchObject({ status: 200 });
  });
});
