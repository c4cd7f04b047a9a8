import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeEverything);

const BROWSER = 'Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nSec-Fetch-Mode: navigate\r\n';
const request = (headers: string, method = 'GET'): string => `${method} / HTTP/1.1\r\nHost: app.test\r\n${headers}\r\n`;
const node = () => startLoneNode({ routes: { 'app.test': { waitingPageAfter: '50ms', holdTimeout: '20s' } } });

describe('a browser that waits', () => {
  test('is shown a page that asks again by itself', async () => {
    const { port, node: own } = await node();
    const client = await connectClient(port);
    client.send(request(BROWSER));
    const answer = await client.response();
    expect(answer.status).toBe(503);
    expect(answer.values('content-type')).toEqual(['text/html; charset=utf-8']);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=proxy_internal_response; details=waiting_page']);
    expect(answer.values('cache-control')).toEqual(['no-store']);
    expect(answer.values('refresh')).toEqual(['1']);
    expect(answer.body.toString()).toContain('This application is starting.');
    expect(own.held).toBe(0);
  });

  test.each([
    ['a program', 'Accept: */*\r\n', 'GET'],
    ['nobody in particular', '', 'GET'],
    ['a browser that sends a form', `${BROWSER}Content-Length: 0\r\n`, 'POST'],
    ['a part of a page', 'Accept: text/html\r\nSec-Fetch-Mode: cors\r\n', 'GET'],
    ['who would rather not have HTML', 'Accept: text/html;q=0, application/json\r\n', 'GET'],
    ['who wants a WebSocket', `${BROWSER}Connection: upgrade\r\nUpgrade: websocket\r\n`, 'GET'],
  ])('is not %s: it is held on', async (_who, headers, method) => {
    const { port, node: own } = await node();
    const browser = await connectClient(port);
    const other = await connectClient(port);
    other.send(request(headers, method));
    await eventually('it is held', () => own.held === 1);
    browser.send(request(BROWSER));
    await browser.response();
    expect(own.held).toBe(1);
    expect(other.receivedBytes).toBe(0);
  });

  test('waits as everybody does where the route does not say otherwise', async () => {
    const { port, node: own } = await startLoneNode({ routes: { 'app.test': { holdTimeout: '200ms' } } });
    const client = await connectClient(port);
    client.send(request(BROWSER));
    const answer = await client.response();
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=connection_timeout; details=hold_timeout']);
    expect(own.held).toBe(0);
  });
});
