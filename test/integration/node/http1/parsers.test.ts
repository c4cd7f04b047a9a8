import { createRequire } from 'node:module';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Body } from '../../../../src/node/http1/body.ts';
import { parseHead, parserCounts } from '../../../../src/node/http1/head/llhttp.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

afterEach(closeEverything);

declare const WebAssembly: {
  Module: { new (code: Uint8Array): object; exports(module: object): { name: string }[]; imports(module: object): { name: string }[] };
};

describe('undici', () => {
  const require = createRequire(import.meta.url);

  test('is pinned exactly: its llhttp is not a part of what it promises', () => {
    const { devDependencies } = require('../../../../package.json') as { devDependencies: Record<string, string> };
    expect(devDependencies.undici).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('has llhttp where we look for it, with what we call and nothing more that it calls', () => {
    const code = require('undici/lib/llhttp/llhttp_simd-wasm.js') as Uint8Array;
    const module = new WebAssembly.Module(new Uint8Array(code));
    expect(WebAssembly.Module.exports(module).map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'memory',
        'malloc',
        'llhttp_alloc',
        'llhttp_free',
        'llhttp_reset',
        'llhttp_execute',
        'llhttp_resume',
        'llhttp_get_error_pos',
        'llhttp_get_error_reason',
        'llhttp_get_method',
        'llhttp_get_http_major',
        'llhttp_get_http_minor',
        'llhttp_method_name',
      ]),
    );
    const imports = WebAssembly.Module.imports(module).map(({ name }) => name);
    expect(imports.sort()).toEqual([
      'wasm_on_body',
      'wasm_on_header_field',
      'wasm_on_header_value',
      'wasm_on_headers_complete',
      'wasm_on_message_begin',
      'wasm_on_message_complete',
      'wasm_on_status',
      'wasm_on_url',
    ]);
  });
});

test('parsers of messages that were read at the same time are not all kept', () => {
  const heads = Array.from({ length: 1_500 }, () => parseHead('response', Buffer.from('HTTP/1.1 200 OK\r\n\r\n')));
  expect(parserCounts().alive).toBeGreaterThanOrEqual(1_500);
  for (const head of heads) if (head.kind === 'complete') head.parser.release();
  expect(parserCounts().alive).toBe(parserCounts().pooled);
  expect(parserCounts().pooled).toBeLessThanOrEqual(2 * 1_024);
});

describe('a head', () => {
  test('of any size has its words where they are, whatever piece they fall into', () => {
    const word = fc.stringMatching(/^[a-z]{1,40}$/);
    const value = fc.oneof(
      fc.stringMatching(/^[a-z0-9][a-z0-9 ]{0,60}[a-z0-9]$/),
      fc.integer({ min: 1, max: 6_000 }).map((n) => 'v'.repeat(n)),
    );
    fc.assert(
      fc.property(
        fc.stringMatching(/^\/[a-z]{0,300}$/),
        fc.array(fc.tuple(word, value), { minLength: 1, maxLength: 30 }),
        (url, headers) => {
          const text = `GET ${url} HTTP/1.1\r\n${headers.map(([name, text]) => `x-${name}: ${text}\r\n`).join('')}\r\n`;
          fc.pre(text.length < 65_000);
          const bytes = Buffer.from(`${text}what follows`);
          const head = parseHead('request', bytes);
          if (head.kind !== 'complete') throw new Error(head.kind);
          const { lines } = head.parser;
          const seen = headers.map((_, i) => [lines.name(i), lines.value(i)]);
          expect(head.bytes).toBe(text.length);
          expect(bytes.toString('latin1', lines.urlStart, lines.urlEnd)).toBe(url);
          head.parser.release();
          expect(seen).toEqual(headers.map(([name, text]) => [`x-${name}`, text]));
        },
      ),
      { numRuns: 200 },
    );
  });

  test('that is chunked for us is chunked for the parser', () => {
    const parts = fc.constantFrom('chunked', 'CHUNKED', ' ', '\t', ',', ';', 'identity', 'x', '"', '\xa0', 'q=1');
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 5 }), fc.constantFrom('request' as const, 'response' as const), (words, kind) => {
        const start = kind === 'request' ? 'POST / HTTP/1.1\r\nHost: a' : 'HTTP/1.1 200 OK\r\nX: a';
        const bytes = Buffer.from(`${start}\r\nTransfer-Encoding:${words.join('')}\r\n\r\n`, 'latin1');
        const head = parseHead(kind, bytes);
        if (head.kind !== 'complete') return;
        expect(head.parser.lines.known(1)).toBe('transfer-encoding');
        if (!head.parser.lines.isChunked(1)) {
          head.parser.release();
          return;
        }
        const body = new Body('chunked', 0, head.parser);
        expect(body.take(Buffer.from('1\r\na\r\n0\r\n\r\nnext'))).toBe(11);
        expect(body.complete).toBe(true);
        body.release();
      }),
      { numRuns: 2_000 },
    );
  });
});

/** What clients do, one exchange each, and end their connection at will. */
const DEEDS: ((client: RawSocket) => Promise<unknown> | undefined)[] = [
  (client) => {
    client.send('GET /length HTTP/1.1\r\nHost: a\r\n\r\n');
    return client.response();
  },
  (client) => {
    client.send('POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
    return client.response();
  },
  (client) => {
    client.send('HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n');
    return client.response('HEAD');
  },
  (client) => {
    client.send('GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n');
    return client.response();
  },
  (client) => {
    client.send('POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab');
    client.reset();
    return undefined;
  },
  (client) => {
    client.send('POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    return client.response();
  },
  (client) => {
    client.send('POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n');
    return client.response();
  },
  (client) => {
    client.send('GET /length HTTP/1.1\r\nHost : a\r\n\r\n');
    return client.response();
  },
  (client) => {
    client.send(`GET /length HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(3_000)}\r\n\r\n`);
    return client.response();
  },
  (client) => {
    client.send(`GET /length HTTP/1.1\r\nHost: a\r\n${'X: x\r\n'.repeat(150)}\r\n`);
    return client.response();
  },
  (client) => {
    client.send('GET /cut HTTP/1.1\r\nHost: a\r\n\r\n');
    return client.ended();
  },
  (client) => {
    client.send('GET /malformed HTTP/1.1\r\nHost: a\r\n\r\n');
    return client.response();
  },
  (client) => {
    client.send('GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n');
    return client.response();
  },
  (client) => {
    client.send('GET /begun HTTP/1.1\r\nHost: a\r\n\r\n');
    const begun = client.takeThrough('\r\n\r\n');
    return begun.then(() => client.reset());
  },
  (client) => {
    client.send('GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    return client.takeThrough('\r\n\r\n').then(() => client.reset());
  },
];

async function answer(connection: RawSocket): Promise<void> {
  for (;;) {
    const path = (await connection.takeThrough('\r\n\r\n')).split(' ')[1];
    if (path === '/chunked') connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n');
    else if (path === '/cut') connection.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no');
    else if (path === '/begun') connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no');
    else if (path === '/malformed') connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n');
    else if (path === '/nothing') connection.end();
    else if (path === '/upgrade') connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    else connection.send(ok('ok'));
    // The bodies of requests are skipped.
    if (connection.unread.length > 0) await connection.take(connection.unread.length);
  }
}

test('after ten thousand exchanges, broken ones among them, no parser is lost', async () => {
  const app = await ScriptedApp.listen(answer);
  const { port, node } = await startServedNode(app.port, { headBytesMax: 2_000, concurrency: 40 });
  const before = parserCounts();
  let done = 0;
  const client = async (): Promise<void> => {
    let connection = await connectClient(port);
    while (done < 10_000) {
      const deed = DEEDS[done++ % DEEDS.length] as (typeof DEEDS)[number];
      await deed(connection)?.catch(() => undefined);
      const isBroken = connection.ending !== null || connection.socket.destroyed;
      if (!isBroken && done % 7 !== 0) continue;
      connection.socket.destroy();
      connection = await connectClient(port);
    }
    connection.socket.destroy();
  };
  await Promise.all(Array.from({ length: 40 }, client));
  await eventually('every slot is idle', () => node.active === 0 && node.held === 0);
  await eventually('every parser is back', () => parserCounts().alive === parserCounts().pooled);
  // At most one for each direction of what was going on at the same time.
  expect(parserCounts().alive - before.alive).toBeLessThanOrEqual(80);
}, 60_000);
