import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, ResetCode } from '../../../../src/link/frames.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeEverything);

const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n';

/** An application that closes each connection when its second request comes: to a linker that is the moment of reuse. */
async function closesOnReuse() {
  const seen: string[] = [];
  const app = await ScriptedApp.listen(async (connection) => {
    const first = await connection.request();
    seen.push(`${first.startLine.split(' ')[0]} ${first.text}`);
    connection.send(ok('first'));
    await connection.request();
    connection.end();
  });
  const served = await startServedNode(app.port);
  const client = await connectClient(served.port);
  client.send(GET);
  await client.response();
  await served.linker.ends(1);
  return { ...served, app, client, seen };
}

describe('an application connection that closes at the moment of its reuse', () => {
  test('costs an idempotent request nothing: it goes out again on a fresh one', async () => {
    const { client, app, linker } = await closesOnReuse();
    client.send(GET);
    expect(await client.response()).toMatchObject({ status: 200, text: 'first' });
    expect(app.connections).toHaveLength(2);
    expect(linker.opened).toEqual([Flag.NONE, Flag.NONE, Flag.FRESH]);
  });

  test('costs one with a small body nothing either', async () => {
    const { client, seen } = await closesOnReuse();
    const body = 'x'.repeat(10_000);
    client.send(`PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    expect((await client.response()).status).toBe(200);
    client.send(`PUT / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`);
    expect((await client.response()).status).toBe(200);
    expect(seen).toEqual(['GET ', `PUT ${body}`, 'PUT abc']);
  });

  test('is a 502 for one that may not be sent twice', async () => {
    const { client, linker } = await closesOnReuse();
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello');
    const answer = await client.response();
    expect(answer.status).toBe(502);
    expect(answer.values('proxy-status')).toEqual(['pullproxy; error=connection_terminated']);
    expect(linker.opened).toEqual([Flag.NONE, Flag.CAREFUL]);
  });

  test('is a 502 for one whose body is too large to be kept', async () => {
    const { client, linker } = await closesOnReuse();
    const body = Buffer.alloc(200_000, 'x');
    client.send(`PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${body.length}\r\n\r\n`);
    client.send(body);
    expect((await client.response()).status).toBe(502);
    expect(linker.opened).toHaveLength(2);
  });
});

describe('a stream that failed', () => {
  test('before a byte reached the application is tried again whatever its method', async () => {
    const app = await ScriptedApp.serving(({ text }) => ok(text));
    const { port, linker } = await startServedNode(app.port);
    linker.intercept = (stream, _flags, link) => {
      if (linker.opened.length > 2) return false;
      link.free(stream, ResetCode.APP_CLOSED, false, true);
      return true;
    };
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello');
    expect(await client.response()).toMatchObject({ status: 200, text: 'hello' });
    expect(linker.opened).toEqual([Flag.CAREFUL, Flag.FRESH, Flag.FRESH]);
  });

  test('that waited below a lowered limit, and that the application is given at that very moment, is not sent again', async () => {
    const waits: (() => void)[] = [];
    const seen: string[] = [];
    const app = await ScriptedApp.serving(({ text }) => {
      seen.push(text);
      waits.shift()?.();
      return ok(text);
    });
    const { port, linker } = await startServedNode(app.port);
    linker.intercept = (stream, _flags, link) => {
      waits.push(() => link.waits(stream));
      return false;
    };
    const client = await connectClient(port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello');
    expect(await client.response()).toMatchObject({ status: 200, text: 'hello' });
    expect(seen).toEqual(['hello']);
    expect(linker.opened).toHaveLength(1);
  });

  test('is tried three times at most', async () => {
    const app = await ScriptedApp.serving(() => ok());
    const { port, linker } = await startServedNode(app.port);
    linker.intercept = (stream, _flags, link) => {
      link.free(stream, ResetCode.APP_CLOSED, true, true);
      return true;
    };
    const client = await connectClient(port);
    client.send(GET);
    expect((await client.response()).status).toBe(502);
    expect(linker.opened).toHaveLength(3);
  });

  test('on a fresh connection is not tried again: the application may have worked on it', async () => {
    const app = await ScriptedApp.listen(async (connection) => {
      await connection.request();
      connection.reset();
    });
    const { port, linker } = await startServedNode(app.port);
    const client = await connectClient(port);
    client.send(GET);
    expect((await client.response()).status).toBe(502);
    expect(linker.opened).toHaveLength(1);
  });

  test('because its link broke is tried again elsewhere when that is safe, and waits for a linker', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker, node, backendPort } = await startServedNode(app.port);
    const [get, post] = [await connectClient(port), await connectClient(port)];
    get.send(GET);
    await (await app.next()).request();
    post.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello');
    await (await app.next()).request();
    linker.close();
    expect((await post.response()).status).toBe(502);
    expect(node.held).toBe(1);

    await FakeLinker.dial({ backendPort, appPort: app.port, instance: 'i2' });
    const again = await app.next();
    await again.request();
    again.send(ok('served elsewhere'));
    expect((await get.response()).text).toBe('served elsewhere');
  });

  test('after a part of its response is not tried again', async () => {
    const app = await ScriptedApp.listen();
    const { port, linker } = await startServedNode(app.port);
    linker.intercept = (stream, _flags, link) => {
      stream.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'));
      setImmediate(() => link.free(stream, ResetCode.APP_CLOSED, true, true));
      return true;
    };
    const client = await connectClient(port);
    client.send(GET);
    expect(await client.ended()).toBe('reset');
    expect(linker.opened).toHaveLength(1);
  });

  test('after a part of its head begins anew with the next one', async () => {
    const app = await ScriptedApp.serving(() => ok('whole'));
    const { port, linker } = await startServedNode(app.port);
    linker.intercept = (stream, _flags, link) => {
      if (linker.opened.length > 1) return false;
      stream.write(Buffer.from('HTTP/1.1 500 Wro'));
      setImmediate(() => link.free(stream, ResetCode.APP_CLOSED, true, true));
      return true;
    };
    const client = await connectClient(port);
    client.send(GET);
    expect(await client.response()).toMatchObject({ status: 200, text: 'whole' });
  });

  test('goes back to its place in its own line, where values have shares, and its line pays for it once', async () => {
    const seen: string[] = [];
    const app = await ScriptedApp.serving(({ startLine }) => {
      seen.push(startLine.split(' ')[1] ?? '');
      return ok('served');
    });
    const at = await startLoneNode({ routes: { 'app.test': { fairBy: 'header:X-Tenant', trustClients: true, holdTimeout: '20s' } } });
    const clients = [];
    for (const path of ['/x1', '/y1', '/x2', '/y2', '/x3', '/y3']) {
      const client = await connectClient(at.port);
      client.send(`GET ${path} HTTP/1.1\r\nHost: app.test\r\nX-Tenant: ${path[1]}\r\n\r\n`);
      clients.push(client);
      await eventually(`${path} is held`, () => at.node.held === clients.length);
    }
    const linker = await FakeLinker.dial({ backendPort: at.backendPort, appPort: app.port, route: 'app.test', concurrency: 1, lends: 0 });
    linker.intercept = (stream, _flags, link) => {
      if (linker.opened.length > 1) return false;
      link.free(stream, ResetCode.APP_CLOSED, false, true);
      return true;
    };
    linker.link.grant(1);
    for (const client of clients) expect((await client.response()).status).toBe(200);
    // One of two lines that are alike was first, and failed: it is its turn again after the other one's.
    const [other, first] = seen[0]?.startsWith('/x') === true ? ['/x', '/y'] : ['/y', '/x'];
    expect(seen).toEqual([`${other}1`, `${first}1`, `${first}2`, `${other}2`, `${first}3`, `${other}3`]);
  });
});
