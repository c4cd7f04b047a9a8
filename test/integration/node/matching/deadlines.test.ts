import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { closeGrpc } from '../../../support/grpc.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(async () => {
  closeGrpc();
  closeHttp2();
  await closeEverything();
});

const node = (settings: Readonly<Record<string, unknown>>, over: LoneNodeOptions = {}) =>
  startLoneNode({ routes: { 'app.test': { holdTimeout: '60s', ...settings } }, ...over });
const get = (lines: string): string => `GET / HTTP/1.1\r\nHost: app.test\r\n${lines}\r\n`;

describe('a request that allows less time than its route', () => {
  test('is refused when that has passed', async () => {
    const { port, node: own } = await node({ deadline: 'header:X-Timeout' });
    const client = await connectClient(port);
    const begun = performance.now();
    client.send(get('X-Timeout: 150\r\n'));
    const response = await client.response();
    expect(response.status).toBe(503);
    expect(response.values('proxy-status')).toEqual(['pullproxy; error=connection_timeout; details=deadline']);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(149);
    expect(own.held).toBe(0);
  });

  test.each(['0', '0.0s'])('is refused at once when it allows none (%s), also where a slot is idle', async (value) => {
    let requests = 0;
    const app = await ScriptedApp.serving(() => ok(`${++requests}`));
    const { port, backendPort } = await node({ deadline: 'header:X-Timeout' });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    const client = await connectClient(port);
    client.send(get(`X-Timeout: ${value}\r\n`));
    expect((await client.response()).status).toBe(503);
    client.send(get('X-Timeout: 60000\r\n'));
    expect((await client.response()).text).toContain('1');
  });

  test('is never served after it, and one behind it is', async () => {
    const { port, backendPort, node: own } = await node({ deadline: 'header:X-Timeout' });
    const app = await ScriptedApp.serving(() => ok('served'));
    const [late, patient] = [await connectClient(port), await connectClient(port)];
    late.send(get('X-Timeout: 300\r\n'));
    await eventually('the first is held', () => own.held === 1);
    patient.send(get(''));
    await eventually('both are held', () => own.held === 2);
    const route = own.routes.get('app.test');
    const first = route?.held.oldest ?? null;
    // Its timer is late, as on a busy machine: the slot comes after the deadline.
    if (first?.deadlineTimer) clearTimeout(first.deadlineTimer);
    await eventually('its deadline has passed', () => first?.isTooLate(performance.now()) === true);
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
    expect((await late.response()).status).toBe(503);
    expect((await patient.response()).status).toBe(200);
    expect(app.connections.length).toBe(1);
  });

  test('tells the application what is left', async () => {
    const app = await ScriptedApp.serving((request) => ok(request.values('x-timeout').join()));
    const { port, backendPort, node: own } = await node({ deadline: 'header:X-Timeout' });
    const client = await connectClient(port);
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nX-Timeout: 30000\r\nContent-Length: 4\r\n\r\nbody`);
    await eventually('it is held', () => own.held === 1);
    const since = performance.now();
    await eventually('some time passes', () => performance.now() - since > 200);
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    const response = await client.response();
    const left = Number(response.body.toString());
    expect(left).toBeLessThanOrEqual(29_800);
    expect(left).toBeGreaterThan(0);
  });

  test('that can not be read passes as it came, and bounds nothing', async () => {
    const app = await ScriptedApp.serving((request) => ok(request.values('x-timeout').join()));
    const { port, backendPort } = await node({ deadline: 'header:X-Timeout' });
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    const client = await connectClient(port);
    client.send(get('X-Timeout: soon\r\n'));
    expect((await client.response()).body.toString()).toBe('soon');
  });

  test('of gRPC ends with DEADLINE_EXCEEDED in a response without a body', async () => {
    const { port } = await node({ protocol: 'h2c' });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const call = { ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '150m' };
    const answer = await askHttp2(session, call, Buffer.alloc(5));
    expect([answer.status, answer.headers['grpc-status'], answer.headers['content-type'], answer.text]).toEqual([
      200,
      '4',
      'application/grpc',
      '',
    ]);
    expect(answer.headers['proxy-status']).toBe('pullproxy; error=connection_timeout; details=deadline');
    const plain = await askHttp2(session, { ...call, 'content-type': 'text/plain' }, 'x');
    expect(plain.status).toBe(503);
  });
});

describe('clients that wait for a start', () => {
  test.each([
    ['less', '150ms', '60s'],
    ['more', '1s', '150ms'],
  ])('may have %s patience than those of a crowd', async (_which, coldHoldTimeout, holdTimeout) => {
    const { port, backendPort } = await node({ coldHoldTimeout, holdTimeout });
    const cold = await connectClient(port);
    const begun = performance.now();
    cold.send(get(''));
    expect((await cold.response()).values('proxy-status')).toEqual(['pullproxy; error=connection_timeout; details=hold_timeout']);
    const waitedMs = performance.now() - begun;
    expect(waitedMs).toBeGreaterThanOrEqual(coldHoldTimeout === '1s' ? 990 : 149);
    // An instance is there, and busy.
    const app = await ScriptedApp.listen();
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
    const [busy, crowd] = [await connectClient(port), await connectClient(port)];
    busy.send(get(''));
    await app.next();
    crowd.send(get(''));
    if (holdTimeout === '150ms') expect((await crowd.response()).status).toBe(503);
    else {
      const since = performance.now();
      await eventually('longer than the patience of the others', () => performance.now() - since > 400);
      expect(crowd.receivedBytes).toBe(0);
    }
  });
});
