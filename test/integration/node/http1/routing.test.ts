import { afterEach, describe, expect, test } from '@jest/globals';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeEverything);

/** Applications that answer with their route's name. */
async function serve(routes: readonly string[]): Promise<number> {
  const { port, backendPort } = await startLoneNode();
  for (const [i, route] of routes.entries()) {
    const app = await ScriptedApp.serving(() => ok(route));
    await FakeLinker.dial({ backendPort, appPort: app.port, route, instance: `i${i}` });
  }
  return port;
}

async function ask(port: number, request: string): Promise<{ status: number; text: string }> {
  const client = await connectClient(port);
  client.send(request);
  const { status, text } = await client.response();
  client.end();
  return { status, text };
}

describe('a request is served by the route', () => {
  const routes = ['app.test', '*.app.test', '*.deep.app.test'];
  test.each([
    ['of its host', 'app.test', 'app.test'],
    ['whatever the letters’ case', 'APP.Test', 'app.test'],
    ['whatever the port', 'app.test:8080', 'app.test'],
    ['whatever an empty port', 'app.test:', 'app.test'],
    ['with a dot at the end', 'app.test.', 'app.test'],
    ['with a dot and a port', 'app.test.:443', 'app.test'],
    ['of all hosts below', 'a.app.test', '*.app.test'],
    ['of all hosts below, several levels', 'a.b.app.test', '*.app.test'],
    ['of the nearest hosts below', 'a.deep.app.test', '*.deep.app.test'],
    ['above, for a host that is itself the root of one', 'deep.app.test', '*.app.test'],
  ])('%s: %s → %s', async (_what, host, route) => {
    const port = await serve(routes);
    expect(await ask(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toEqual({ status: 200, text: route });
  });

  test('of any host, when no other fits', async () => {
    const port = await serve(['*', 'app.test']);
    for (const host of ['other.test', '10.0.0.1', '[2001:db8::1]:8080', 'localhost', ''])
      expect(await ask(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toEqual({ status: 200, text: '*' });
    expect((await ask(port, 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')).text).toBe('app.test');
  });

  test('of the absolute target, not of Host', async () => {
    const { port, backendPort } = await startLoneNode();
    const app = await ScriptedApp.serving(({ head }) => ok(head));
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    for (const [target, path] of [
      ['http://APP.test:81/a?b=/c', '/a?b=/c'],
      ['HTTP://app.test:81', '/'],
      ['https://app.test:81?q', '/?q'],
    ] as const) {
      const seen = (await ask(port, `GET ${target} HTTP/1.1\r\nHost: other.test\r\n\r\n`)).text;
      expect(seen).toContain(`GET ${path} HTTP/1.1\r\n`);
      expect(seen.match(/^host: .*$/gim)).toEqual([expect.stringMatching(/^Host: app\.test:81$/i)]);
      expect(seen).toMatch(/^X-Forwarded-Host: app\.test:81\r$/im);
    }
    expect((await ask(port, 'OPTIONS http://app.test HTTP/1.1\r\nHost: x\r\n\r\n')).text).toContain('OPTIONS * HTTP/1.1\r\n');
    expect((await ask(port, 'OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n')).text).toContain('OPTIONS * HTTP/1.1\r\n');
  });
});

test('a host that nobody serves is a 404, and the connection goes on', async () => {
  const port = await serve(['app.test']);
  const client = await connectClient(port);
  for (const host of ['other.test', 'test', 'xapp.test', 'a.app.test', 'app.test.other']) {
    client.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\n\r\nbody`);
    const answer = await client.response();
    expect(answer.status).toBe(404);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=destination_not_found']);
  }
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
  expect((await client.response()).text).toBe('app.test');
});
