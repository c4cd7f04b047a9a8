/** No call that throws, no event's handler and no promise is outside every boundary, but for those that are named here with the reason. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { findUnbounded } from '../support/boundary-lint.ts';

interface Allowed {
  /** Below src/; a folder with its slash. */
  readonly where: string;
  /** All of the file's, if there is none. */
  readonly call?: string;
  readonly why: string;
}

const ALLOWED: readonly Allowed[] = [
  { where: 'cli/', why: 'wiring: what throws while a command starts is told by main.ts; signals come from who owns the process' },
  { where: 'config/', why: 'read while a command starts' },
  { where: 'cluster/redis/scripts.ts', why: 'reads files of the package while it is loaded' },
  { where: 'admin/dashboard-files.ts', why: 'reads files of the package before the port is opened' },
  { where: 'log.ts', why: 'the sink handles what writing says' },
  { where: 'repeated-lines.ts', why: 'writes lines of the log' },
  { where: 'cluster/redis/connection.ts', call: 'setTimeout()', why: 'rejects a promise' },
  { where: 'cluster/member/namesakes.ts', call: 'Date.toISOString', why: 'within the `try` of a beat' },
  { where: 'link/frames.ts', why: 'called within Link.#read, after a look at the length' },
  { where: 'link/frame-writer.ts', why: 'frame, number, lazily and flush are boundaries themselves, and these are their parts' },
  { where: 'link/hello.ts', why: 'a whole number, looked at before, in a buffer of its size' },
  { where: 'link/move.ts', why: 'a count of slots, in a buffer of its size' },
  { where: 'link/link.ts', call: 'socket.on(data)', why: '#read is a boundary itself' },
  { where: 'linker/proxy-header.ts', why: 'ports were read by isPort, in a buffer of its size; AppPool.open is within a boundary' },
  { where: 'linker/app-process.ts', call: 'spawn', why: 'Application.start rejects, and the linker ends with that reason' },
  { where: 'workers/worker-process.ts', call: 'spawn', why: 'WorkerPool tries again' },
  { where: 'node/visits/access-log.ts', call: 'Date.toISOString', why: 'now is a date' },
  {
    where: 'node/lenders/link-server.ts',
    call: 'server.setSecureContext',
    why: 'called within a look at files, after the certificate was read',
  },
  { where: 'node/http2/response-fields.ts', call: 'stream.respond', why: 'ClientStream’s, which does not throw' },
  { where: 'node/http1/response.ts', call: 'heads.respond', why: 'ClientStream’s, which does not throw' },
  { where: 'node/http1/event-stream.ts', call: 'client.heads.respond', why: 'ClientStream’s, which does not throw' },
  { where: 'node/http2/exchange.ts', why: 'ClientStream’s and ApplicationSession’s, which do not throw' },
  { where: 'node/http2/frame-rules.ts', why: 'a look at the length before' },
  { where: 'node/http2/settings.ts', why: 'entries of six bytes, after a look at the length' },
  { where: 'node/http2/outlet.ts', why: 'both handlers are guarded where they are made' },
  { where: 'node/listeners/certificates.ts', why: 'within `replace`, which says that it throws' },
  { where: 'node/listeners/client-hello.ts', why: 'looked at the length before; the handler of the bytes is within a boundary' },
  { where: 'node/listeners/proxy-header.ts', why: 'looked at the length before; the handler of the bytes is within a boundary' },
  { where: 'node/listeners/http.ts', call: 'tls.setSecureContext', why: 'called by `Certificates.replace`, which says that it throws' },
  { where: 'node/clients/trusted-proxies.ts', why: 'addresses of the configuration, while a node starts' },
  { where: 'scaling/command.ts', why: 'settles the promise of a command' },
  { where: 'scaling/output-files.ts', why: 'called within `try`, and within a job' },
];

const found = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .flatMap((path) => findUnbounded(readFileSync(`src/${path}`, 'utf8')).map((finding) => ({ path, ...finding })));

function allows({ where, call }: Allowed, { path, call: found }: { path: string; call: string }): boolean {
  return (where.endsWith('/') ? path.startsWith(where) : path === where) && (call === undefined || call === found);
}

test('what throws, and what enters, is within a boundary', () => {
  const bad = found.filter((finding) => !ALLOWED.some((allowed) => allows(allowed, finding)));
  expect(bad.map(({ path, line, kind, call }) => `src/${path}:${line} ${kind}: ${call}`)).toEqual([]);
});

test('nothing is allowed that is not there', () => {
  expect(ALLOWED.filter((allowed) => !found.some((finding) => allows(allowed, finding)))).toEqual([]);
});

test.each([
  ['a call of HTTP/2', 'function f(s) { s.respond({}); }', 'throws s.respond'],
  ['a call of HTTP/2 on a field', 'class A { #s; f() { this.#s.additionalHeaders({}); } }', 'throws this.s.additionalHeaders'],
  ['a request of a session', 'const f = (session) => session.request({});', 'throws session.request'],
  ['a URL', 'const f = (x) => new URL(x);', 'throws new URL'],
  ['JSON', 'const f = (x) => JSON.parse(x);', 'throws JSON.parse'],
  ['a component of a URL', 'const f = (x) => decodeURIComponent(x);', 'throws decodeURIComponent'],
  ['a number beyond a buffer', 'const f = (b, at) => b.readUInt32BE(at);', 'throws b.readUInt32BE'],
  ['a big integer', 'const f = (x) => BigInt(x);', 'throws BigInt'],
  ['a code point', 'const f = (x) => String.fromCodePoint(x);', 'throws String.fromCodePoint'],
  ['a clone', 'const f = (x) => structuredClone(x);', 'throws structuredClone'],
  ['a certificate', 'const f = (s, x) => s.setSecureContext(x);', 'throws s.setSecureContext'],
  ['an event', "s.on('data', (x) => work(x));", 'enters s.on(data)'],
  ['an event with a name', "const h = (x) => work(x); s.once('data', h);", 'enters s.once(data)'],
  ['a timer', 'setTimeout(() => work(), 5);', 'enters setTimeout()'],
  ['a promise', 'void work();', 'floats work'],
  ['a call in a catch clause', 'try { a(); } catch { JSON.parse(x); }', 'throws JSON.parse'],
  ['a call in a try without catch', 'try { JSON.parse(x); } finally { a(); }', 'throws JSON.parse'],
])('%s would be found', (_what, text, expected) => {
  expect(findUnbounded(text).map(({ kind, call }) => `${kind} ${call}`)).toEqual([expected]);
});

test.each([
  'try { JSON.parse(x); } catch (error) { caught(this, error); }',
  "s.on('data', guard(this, (x) => JSON.parse(x)));",
  "const h = guard(this, () => work()); s.on('data', h);",
  'class A { #h = guard(this, () => work()); f() { setTimeout(this.#h, 5); } }',
  'attempt(this, () => s.respond({}));',
  "unawaited('bell', work());",
  's.on("error", () => {});',
  'const t = setTimeout(() => socket.destroy(), 5);',
  '/** @throws SyntaxError */\nfunction f(x) { return JSON.parse(x); }',
])('%s is well', (text) => {
  expect(findUnbounded(text)).toEqual([]);
});
