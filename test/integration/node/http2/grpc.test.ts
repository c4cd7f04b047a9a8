import { once } from 'node:events';
import {
  type Client,
  Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../../src/linker/free-port.ts';
import { eventually } from '../../../support/eventually.ts';
import { callOf, closeGrpc, grpcClient, NUMBERS, startGrpc } from '../../../support/grpc.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { connectClient } from '../../../support/raw-client.ts';

const HOST = 'grpc.test';
/** What is never answered. */
const NEVER = 1_000_000;

afterEach(async () => {
  closeGrpc();
  closeHttp2();
  await closeEverything();
});

/** What the application has seen. */
class Seen {
  metadata: Metadata | null = null;
  cancelled = 0;
  deadline: unknown = null;
  atOnce = 0;
  atOnceMost = 0;
}

function numbers(seen: Seen) {
  return {
    unary(call: ServerUnaryCall<number, number>, answer: sendUnaryData<number>): void {
      seen.metadata = call.metadata;
      seen.deadline = call.getDeadline();
      seen.atOnceMost = Math.max(seen.atOnceMost, ++seen.atOnce);
      call.on('cancelled', () => {
        seen.cancelled++;
        seen.atOnce--;
      });
      if (call.request === NEVER) return;
      const trailers = new Metadata();
      trailers.set('x-trailer', 'yes');
      setTimeout(() => {
        seen.atOnce--;
        if (call.request < 0) answer({ code: status.FAILED_PRECONDITION, details: 'negative', metadata: trailers });
        else answer(null, call.request + 1, trailers);
      }, 5);
    },
    count(call: ServerWritableStream<number, number>): void {
      for (let i = 1; i <= call.request; i++) call.write(i);
      call.end();
    },
    sum(call: ServerReadableStream<number, number>, answer: sendUnaryData<number>): void {
      let sum = 0;
      call.on('data', (value: number) => {
        sum += value;
        if (value < 0) answer(null, sum);
      });
      call.on('end', () => answer(null, sum));
    },
    echo(call: ServerDuplexStream<number, number>): void {
      call.on('cancelled', () => seen.cancelled++);
      call.on('data', (value: number) => call.write(value));
      call.on('end', () => call.end());
    },
  };
}

async function served(concurrency = 4, over: LoneNodeOptions = {}) {
  const seen = new Seen();
  const appPort = await startGrpc(numbers(seen));
  const lone = await startLoneNode({ routes: { [HOST]: { protocol: 'h2c' } }, ...over });
  const linker = await FakeLinker.dial({ backendPort: lone.backendPort, appPort, route: HOST, concurrency });
  return { ...lone, linker, seen, client: grpcClient(lone.port, HOST) };
}

interface Outcome {
  readonly value: number | undefined;
  readonly error: ServiceError | null;
  readonly trailers: Metadata | null;
}

function unary(client: Client, value: number, metadata = new Metadata(), deadlineMs?: number): Promise<Outcome> {
  const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
  return new Promise((resolve) => {
    let trailers: Metadata | null = null;
    const call = client.makeUnaryRequest(...callOf(NUMBERS.unary), value, metadata, options, (error, answer) => {
      setImmediate(() => resolve({ value: answer, error, trailers }));
    });
    call.on('status', (given) => {
      trailers = given.metadata;
    });
  });
}

describe('gRPC', () => {
  test('unary calls are answered, with their metadata and trailers', async () => {
    const { client, seen, linker } = await served();
    const metadata = new Metadata();
    metadata.set('x-mine', 'abc');
    metadata.set('x-bytes-bin', Buffer.from([0, 1, 255]));
    const { value, trailers } = await unary(client, 41, metadata);
    expect([value, trailers?.get('x-trailer')]).toEqual([42, ['yes']]);
    expect([seen.metadata?.get('x-mine'), seen.metadata?.get('x-bytes-bin')]).toEqual([['abc'], [Buffer.from([0, 1, 255])]]);
    expect([seen.metadata?.get('x-forwarded-for'), seen.metadata?.get('via')]).toEqual([['127.0.0.1'], ['2.0 pullproxy']]);
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('a status and its details are kept', async () => {
    const { client } = await served();
    const { error } = await unary(client, -1);
    expect([error?.code, error?.details, error?.metadata.get('x-trailer')]).toEqual([status.FAILED_PRECONDITION, 'negative', ['yes']]);
    const unknown = await new Promise<ServiceError | null>((resolve) => {
      const [, ...coding] = callOf(NUMBERS.unary);
      client.makeUnaryRequest('/numbers.Numbers/None', ...coding, 1, (failure) => resolve(failure));
    });
    expect(unknown?.code).toBe(status.UNIMPLEMENTED);
  });

  test('the server streams', async () => {
    const { client } = await served();
    const call = client.makeServerStreamRequest(...callOf(NUMBERS.count), 10_000);
    let last = 0;
    call.on('data', (value: number) => {
      expect(value).toBe(last + 1);
      last = value;
    });
    await once(call, 'end');
    expect(last).toBe(10_000);
  });

  test('the client streams', async () => {
    const { client } = await served();
    const sum = new Promise<number | undefined>((resolve, reject) => {
      const call = client.makeClientStreamRequest(...callOf(NUMBERS.sum), (error, value) =>
        error === null ? resolve(value) : reject(error),
      );
      for (let i = 1; i <= 5_000; i++) call.write(i);
      call.end();
    });
    expect(await sum).toBe(12_502_500);
  });

  test('the server may answer before the client has said all', async () => {
    const { client, linker } = await served();
    const sum = new Promise<number | undefined>((resolve, reject) => {
      const call = client.makeClientStreamRequest(...callOf(NUMBERS.sum), (error, value) =>
        error === null ? resolve(value) : reject(error),
      );
      call.write(-7);
    });
    expect(await sum).toBe(-7);
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('both stream, in turns, for as long as they like', async () => {
    const { client, linker } = await served();
    const call = client.makeBidiStreamRequest(...callOf(NUMBERS.echo));
    for (let i = 0; i < 20; i++) {
      call.write(i);
      expect((await once(call, 'data'))[0]).toBe(i);
    }
    expect(linker.inUse).toBe(1);
    call.end();
    await once(call.resume(), 'end');
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('each call takes a slot: no more are at the application at once', async () => {
    const { client, seen } = await served(2);
    const outcomes = await Promise.all(Array.from({ length: 30 }, (_, i) => unary(client, i + 1)));
    expect(outcomes.map(({ value }) => value)).toEqual(Array.from({ length: 30 }, (_, i) => i + 2));
    expect(seen.atOnceMost).toBe(2);
  });

  test('a deadline is passed on, and ends the call at the application', async () => {
    const { client, seen, linker } = await served();
    const { error } = await unary(client, NEVER, new Metadata(), 300);
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
    expect(seen.deadline).not.toBe(Number.POSITIVE_INFINITY);
    await eventually('the application knows', () => seen.cancelled === 1);
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('a cancel is passed on, and its slot is free again', async () => {
    const { client, seen, linker } = await served();
    const call = client.makeBidiStreamRequest(...callOf(NUMBERS.echo));
    call.on('error', () => {});
    call.write(1);
    await once(call, 'data');
    call.cancel();
    await eventually('the application knows', () => seen.cancelled === 1);
    await eventually('the slot is free', () => linker.inUse === 0);
  });

  test('a call that is held is answered when an instance comes, and leaves the queue when it is cancelled', async () => {
    const lone = await startLoneNode({ routes: { [HOST]: { protocol: 'h2c' } } });
    const client = grpcClient(lone.port, HOST);
    const gone = await unary(client, 1, new Metadata(), 200);
    expect(gone.error?.code).toBe(status.DEADLINE_EXCEEDED);
    await eventually('nobody held', () => lone.node.held === 0);
    const held = unary(client, 1);
    await eventually('a held call', () => lone.node.held === 1);
    const appPort = await startGrpc(numbers(new Seen()));
    await FakeLinker.dial({ backendPort: lone.backendPort, appPort, route: HOST });
    expect((await held).value).toBe(2);
  });

  test('a client that does not read its response loses its slot; one that waits for the next message does not', async () => {
    const { port, linker, client } = await served(4, { stallTimeoutMs: 200 });
    const waits = client.makeBidiStreamRequest(...callOf(NUMBERS.echo));
    // It is still there when the test is over.
    waits.on('error', () => {});
    waits.write(1);
    await once(waits, 'data');
    const stream = connectHttp2(`http://127.0.0.1:${port}`).request({
      ':method': 'POST',
      ':authority': HOST,
      ':path': NUMBERS.count.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => {});
    // One message of four bytes, uncompressed: so many answers.
    stream.end(Buffer.from('000000000400030d40', 'hex'));
    await once(stream, 'response');
    expect(linker.inUse).toBe(2);
    await eventually('one slot is free', () => linker.inUse === 1);
    waits.write(2);
    expect((await once(waits, 'data'))[0]).toBe(2);
  });

  test('without an application that answers, clients are told that it is unavailable', async () => {
    const lone = await startLoneNode({ routes: { [HOST]: { protocol: 'h2c' } } });
    const linker = await FakeLinker.dial({ backendPort: lone.backendPort, appPort: await freePort(), route: HOST });
    expect((await unary(grpcClient(lone.port, HOST), 1)).error?.code).toBe(status.UNAVAILABLE);
    expect(linker.opened).toHaveLength(3);
    const refused = await askHttp2(connectHttp2(`http://127.0.0.1:${lone.port}`), { ':authority': HOST });
    expect([refused.status, refused.headers['proxy-status']]).toEqual([502, 'pullproxy; error=connection_refused']);
  });

  test('an application that breaks off in the middle breaks the call', async () => {
    const { client, linker } = await served();
    const call = client.makeBidiStreamRequest(...callOf(NUMBERS.echo));
    call.write(1);
    await once(call, 'data');
    const failed = once(call, 'error');
    closeGrpc();
    linker.close();
    expect(((await failed)[0] as ServiceError).code).not.toBe(status.OK);
  });
});

test('a request by HTTP/1.1 for an application that speaks HTTP/2 only is refused', async () => {
  const { port } = await served();
  const client = await connectClient(port);
  client.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  expect((await client.response()).status).toBe(400);
});

test('an application that never speaks HTTP/2 is given up, its client told, and its slot free', async () => {
  const silent = await ScriptedApp.listen();
  const { port, node, backendPort } = await startLoneNode({ routes: { [HOST]: { protocol: 'h2c' } }, headTimeoutMs: 200 });
  await FakeLinker.dial({ backendPort, appPort: silent.port, route: HOST, concurrency: 1 });
  const { error } = await unary(grpcClient(port, HOST), 1);
  expect(error?.code).toBe(status.UNAVAILABLE);
  await eventually('the slot is free', () => node.active === 0);
});
