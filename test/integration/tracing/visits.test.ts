/** The spans of visits, over real sockets, by an exporter in memory. */

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { AccessLines } from '../../support/access-lines.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeLinker } from '../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNode, startLoneNode, startServedNode } from '../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../support/http2-client.ts';
import { connectClient } from '../../support/raw-client.ts';
import { RecordedSpans, theSpan, timesOf } from '../../support/recorded-spans.ts';

let recorded: RecordedSpans;

beforeEach(() => {
  recorded = new RecordedSpans();
});

afterEach(async () => {
  closeHttp2();
  await closeEverything();
  await recorded.end();
});

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

function get(headers = ''): string {
  return `GET /a?secret HTTP/1.1\r\nHost: app.test\r\n${headers}\r\n`;
}

/** A node that is watched, and an application that answers with the traceparent and tracestate that it got. */
async function echoing(): Promise<LoneNode> {
  const app = await ScriptedApp.serving(({ values }) => ok([...values('traceparent'), ...values('tracestate')].join(' ')));
  return startServedNode(app.port, { watchers: [recorded.tracing.visits] });
}

async function answerTo(port: number, request: string): Promise<string> {
  const client = await connectClient(port);
  client.send(request);
  return (await client.response()).body.toString();
}

describe('a request', () => {
  test('is a span of its client’s trace, and the parent of what the application does', async () => {
    const { port } = await echoing();
    const got = await answerTo(port, get(`TraceParent: 00-${TRACE}-${PARENT}-01\r\nTraceState: a=1,b=2\r\n`));
    const spans = await recorded.end();
    const [root, stream] = [theSpan(spans, 'GET'), theSpan(spans, 'stream')];
    expect(spans).toHaveLength(2);
    expect(root.spanContext().traceId).toBe(TRACE);
    expect(root.parentSpanContext).toMatchObject({ traceId: TRACE, spanId: PARENT, isRemote: true });
    expect(root.spanContext().traceState?.serialize()).toBe('a=1,b=2');
    expect([root.kind, stream.kind]).toEqual([SpanKind.SERVER, SpanKind.CLIENT]);
    expect(stream.parentSpanContext?.spanId).toBe(root.spanContext().spanId);
    expect(got).toBe(`00-${TRACE}-${stream.spanContext().spanId}-01 a=1,b=2`);
    expect(root.attributes).toMatchObject({
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'url.path': '/a',
      'url.scheme': 'http',
      'server.address': 'app.test',
      'server.port': 80,
      'client.address': '127.0.0.1',
      'network.protocol.version': '1.1',
      'pullproxy.route': '*',
      'pullproxy.end': '--',
    });
    expect(stream.attributes).toMatchObject({ 'pullproxy.instance': 'i1', 'pullproxy.attempt': 1 });
    expect(root.status.code).toBe(SpanStatusCode.UNSET);
    expect(root.resource.attributes).toMatchObject({ 'service.name': 'pullproxy', 'service.instance.id': 'n1' });
    const [[rootFrom, rootTo], [from, to]] = [timesOf(root), timesOf(stream)];
    expect([rootFrom <= from, from <= to, to <= rootTo]).toEqual([true, true, true]);
    expect(Math.abs(rootFrom - Date.now())).toBeLessThan(60_000);
  });

  test('whose client began no trace begins one', async () => {
    const { port } = await echoing();
    const got = await answerTo(port, get());
    const spans = await recorded.end();
    const root = theSpan(spans, 'GET');
    expect(root.parentSpanContext).toBeUndefined();
    expect(got).toBe(`00-${root.spanContext().traceId}-${theSpan(spans, 'stream').spanContext().spanId}-01`);
  });

  test('that its client does not sample is not recorded, and passed on so', async () => {
    const { port } = await echoing();
    expect(await answerTo(port, get(`traceparent: 00-${TRACE}-${PARENT}-00\r\n`))).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    expect(await recorded.end()).toEqual([]);
  });

  test('with a newer version of the header keeps what that says besides', async () => {
    const { port } = await echoing();
    const got = await answerTo(port, get(`traceparent: cc-${TRACE}-${PARENT}-01-more\r\n`));
    const stream = theSpan(await recorded.end(), 'stream');
    expect(got).toBe(`cc-${TRACE}-${stream.spanContext().spanId}-01-more`);
  });

  test('with a malformed header begins a trace of its own', async () => {
    const { port } = await echoing();
    const got = await answerTo(port, get(`traceparent: 00-${TRACE}-${PARENT}\r\ntracestate: a=1\r\n`));
    const root = theSpan(await recorded.end(), 'GET');
    expect(root.parentSpanContext).toBeUndefined();
    expect(got).toMatch(new RegExp(`^00-${root.spanContext().traceId}-[0-9a-f]{16}-01$`));
  });

  test('by HTTP/2 is traced alike', async () => {
    const { port } = await echoing();
    const { text } = await askHttp2(connectHttp2(`http://127.0.0.1:${port}`), { traceparent: `00-${TRACE}-${PARENT}-01` });
    const spans = await recorded.end();
    expect(text).toBe(`00-${TRACE}-${theSpan(spans, 'stream').spanContext().spanId}-01`);
    expect(theSpan(spans, 'GET').attributes['network.protocol.version']).toBe('2');
  });

  test('says the port that its client named, and no error for what nobody has', async () => {
    const { port } = await startLoneNode({ watchers: [recorded.tracing.visits], routes: { 'app.test': {} } });
    await answerTo(port, 'GET / HTTP/1.1\r\nHost: unknown.test:8443\r\n\r\n');
    const root = theSpan(await recorded.end(), 'GET');
    expect(root.attributes).toMatchObject({ 'http.response.status_code': 404, 'server.port': 8443, 'pullproxy.reason': 'unknown_route' });
    expect(root.attributes).not.toHaveProperty('error.type');
    expect(root.status.code).toBe(SpanStatusCode.UNSET);
  });

  test('through a trusted proxy is of the client that this one names', async () => {
    const trustedProxies = [{ address: '127.0.0.1', bits: 32 }];
    const { port } = await startLoneNode({ watchers: [recorded.tracing.visits], routes: {}, trustedProxies });
    await answerTo(port, get('Forwarded: for="[2001:db8::7]:4711";proto=https\r\n'));
    const root = theSpan(await recorded.end(), 'GET');
    expect(root.attributes).toMatchObject({ 'client.address': '2001:db8::7', 'url.scheme': 'https', 'server.port': 443 });
  });

  test('with a method of the client’s making does not name a span', async () => {
    const { port } = await echoing();
    await answerTo(port, get().replace('GET', 'PROPFIND'));
    expect(theSpan(await recorded.end(), 'HTTP').attributes['http.request.method']).toBe('_OTHER');
  });
});

describe('a client that is held', () => {
  test('has a span for that, and one for the slot that another node sent', async () => {
    const { node, port, backendPort } = await startLoneNode({ watchers: [recorded.tracing.visits], routes: { 'app.test': {} } });
    const client = await connectClient(port);
    client.send(get());
    await eventually('it is held', () => node.held === 1);
    node.clusterEvents.onComing('app.test', 1, 'n2');
    const app = await ScriptedApp.serving(() => ok());
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    await client.response();
    const spans = await recorded.end();
    const [root, hold, handoff, stream] = ['GET', 'hold', 'handoff', 'stream'].map((name) => theSpan(spans, name));
    expect(hold?.parentSpanContext?.spanId).toBe(root?.spanContext().spanId);
    expect(handoff?.parentSpanContext?.spanId).toBe(hold?.spanContext().spanId);
    expect(handoff?.attributes).toMatchObject({ 'pullproxy.from_node': 'n2' });
    expect(hold?.links).toEqual([]);
    const times = [hold, handoff, stream].map((span) => (span === undefined ? [0, 0] : timesOf(span)));
    expect(times[1]?.[0]).toBeGreaterThanOrEqual(times[0]?.[0] as number);
    expect(times[1]?.[1]).toBe(times[0]?.[1]);
    expect(times[2]?.[0]).toBeGreaterThanOrEqual(times[0]?.[1] as number);
  });

  test('for an instance that is started for it is linked to the span of the startup command', async () => {
    const { node, port, backendPort } = await startLoneNode({ watchers: [recorded.tracing.visits], routes: { 'app.test': {} } });
    const over = recorded.tracing.commands.begin({ route: 'app.test', startId: 's7', count: 1, desired: 1 });
    const client = await connectClient(port);
    client.send(get());
    await eventually('it is held', () => node.held === 1);
    over(0, null);
    const app = await ScriptedApp.serving(() => ok());
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test', startId: 's7' });
    await client.response();
    const spans = await recorded.end();
    const [hold, command] = ['hold', 'startup command'].map((name) => theSpan(spans, name));
    expect(hold?.attributes).toMatchObject({ 'pullproxy.start_id': 's7' });
    const { traceId, spanId } = command?.spanContext() ?? {};
    expect(hold?.links.map(({ context }) => [context.traceId, context.spanId])).toEqual([[traceId, spanId]]);
    expect(hold?.spanContext().traceId).not.toBe(traceId);
  });

  test('for nothing is an error, with its reason', async () => {
    const { port } = await startLoneNode({ watchers: [recorded.tracing.visits], routes: { 'app.test': { holdTimeout: '50ms' } } });
    await answerTo(port, get());
    const spans = await recorded.end();
    const root = theSpan(spans, 'GET');
    expect(root.status).toEqual({ code: SpanStatusCode.ERROR, message: 'hold_timeout' });
    expect(root.attributes).toMatchObject({ 'error.type': 'hold_timeout', 'pullproxy.end': 'sQ', 'http.response.status_code': 503 });
    expect(theSpan(spans, 'hold').parentSpanContext?.spanId).toBe(root.spanContext().spanId);
  });
});

test('each attempt is a span, and the application of each hears of its own', async () => {
  const parents: string[] = [];
  const app = await ScriptedApp.listen(async (to) => {
    parents.push((await to.request()).values('traceparent').join());
    if (parents.length === 1) to.socket.destroy();
    else to.send(ok());
  });
  const { port, linker } = await startServedNode(app.port, { watchers: [recorded.tracing.visits], concurrency: 1 });
  const client = await connectClient(port);
  client.send(get());
  await eventually('the application has it', () => parents.length === 1);
  await client.until(() => client.ending !== null || client.unread.length > 0);
  const spans = await recorded.end();
  const streams = spans.filter(({ name }) => name === 'stream');
  expect(linker.opened).toHaveLength(streams.length);
  expect(parents).toEqual(streams.map((span) => `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`));
});

test('a client’s own fault, or its leaving, is no error', async () => {
  const { node, port } = await startLoneNode({ watchers: [recorded.tracing.visits], routes: { 'app.test': {} } });
  await answerTo(port, 'GET / HTTP/1.1\r\n\r\n');
  const client = await connectClient(port);
  client.send(get());
  await eventually('it is held', () => node.held === 1);
  client.reset();
  await eventually('it is gone', () => node.held === 0);
  const spans = await recorded.end();
  expect(theSpan(spans, 'HTTP/1.1')).toMatchObject({
    status: { code: SpanStatusCode.UNSET },
    attributes: { 'pullproxy.reason': 'bad_request' },
  });
  expect(theSpan(spans, 'GET')).toMatchObject({ status: { code: SpanStatusCode.UNSET }, attributes: { 'pullproxy.end': 'CQ' } });
});

test('a connection that is passed through is a span, as long as it lasts', async () => {
  const app = await ScriptedApp.listen((to) => to.end('hello'));
  const options = { listen: { protocol: 'tcp' as const, route: 'db' }, routes: { db: {} }, watchers: [recorded.tracing.visits] };
  const { port, backendPort } = await startLoneNode(options);
  const linker = await FakeLinker.dial({ backendPort, appPort: app.port, route: 'db' });
  const client = await connectClient(port);
  await client.take(5);
  client.end();
  await linker.ends(1);
  const root = theSpan(await recorded.end(), 'tcp db');
  expect(root.attributes).toMatchObject({ 'network.protocol.name': 'tcp', 'pullproxy.bytes_out': 5, 'pullproxy.end': '--' });
});

test('the access log names the trace', async () => {
  const lines = new AccessLines();
  const app = await ScriptedApp.serving(() => ok());
  const { port } = await startServedNode(app.port, { watchers: [recorded.tracing.visits, lines.log] });
  await answerTo(port, get(`traceparent: 00-${TRACE}-${PARENT}-01\r\n`));
  expect(await lines.next()).toMatchObject({ traceId: TRACE });
});
