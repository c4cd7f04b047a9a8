import { afterEach, describe, expect, test } from '@jest/globals';
import { closeEverything, type LoneNodeOptions, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeEverything);

async function client(options: LoneNodeOptions) {
  const app = await ScriptedApp.serving(() => ok('hello'));
  const { port } = await startServedNode(app.port, options);
  return connectClient(port);
}

const trustedProxies = [{ address: '127.0.0.1', bits: 32 }];

describe('with a redirect to https', () => {
  test.each([
    ['GET /a?b=c HTTP/1.1\r\nHost: App.test:8080\r\n\r\n', 443, 'https://app.test/a?b=c'],
    ['GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n', 8443, 'https://[::1]:8443/'],
    ['GET http://other.test/x HTTP/1.1\r\nHost: app.test\r\n\r\n', 443, 'https://other.test/x'],
    ['OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n', 443, 'https://app.test/'],
    ['POST /form HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc', 443, 'https://app.test/form'],
  ])('%j goes by way of port %d to %s, and its connection goes on', async (request, httpsRedirect, location) => {
    const asks = await client({ httpsRedirect });
    for (let i = 0; i < 2; i++) {
      asks.send(request);
      const answer = await asks.response();
      expect([answer.status, answer.values('location')]).toEqual([308, [location]]);
      expect(answer.values('proxy-status')).toEqual(['pullproxy; error=proxy_internal_response; details=https_only']);
    }
  });

  test('a request that names no host is refused', async () => {
    const asks = await client({ httpsRedirect: 443 });
    asks.send('GET / HTTP/1.0\r\n\r\n');
    expect((await asks.response()).status).toBe(400);
  });

  test('what came by https to a trusted proxy is served', async () => {
    const asks = await client({ httpsRedirect: 443, trustedProxies });
    asks.send('GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-Proto: https\r\n\r\n');
    expect((await asks.response()).text).toBe('hello');
    asks.send('GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-Proto: http\r\n\r\n');
    expect((await asks.response()).status).toBe(308);
  });

  test('a client that only says so is not', async () => {
    const asks = await client({ httpsRedirect: 443 });
    asks.send('GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-Proto: https\r\n\r\n');
    expect((await asks.response()).status).toBe(308);
  });
});

describe('with HSTS', () => {
  const hstsMs = 86_400_000;

  test('answers that go by https say so, those in the clear do not', async () => {
    const asks = await client({ hstsMs, trustedProxies });
    asks.send('GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-Proto: https\r\n\r\n');
    expect((await asks.response()).values('strict-transport-security')).toEqual(['max-age=86400']);
    asks.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await asks.response()).values('strict-transport-security')).toEqual([]);
  });

  test('answers of our own do, too', async () => {
    const asks = await client({ hstsMs, trustedProxies, routes: { 'none.test': { maxHeld: 0 } } });
    asks.send('GET / HTTP/1.1\r\nHost: none.test\r\nX-Forwarded-Proto: https\r\n\r\n');
    const answer = await asks.response();
    expect([answer.status, answer.values('strict-transport-security')]).toEqual([503, ['max-age=86400']]);
  });
});
