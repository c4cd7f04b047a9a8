/**
 * Plays what the fuzzer has on file of HTTP/2 clients and of applications' answers through nginx, HAProxy and pullproxy, and says where
 * pullproxy does something else than the other two, which agree. Not each of these is a fault: each is to be looked at. Needs both.
 *
 *     npm run differential -- [--all] [--changed 500] [--seed 1]
 *
 * `--all`: also where the other two don't agree. `--changed`: so many inputs that are like those on file.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePort } from '../../src/linker/free-port.ts';
import { accepts, Children } from '../bench/children.ts';
import { Type } from '../support/http2-frames.ts';
import { readInputs } from './corpus.ts';
import { bytesOf, END_STREAM, FrameScanner, PREFACE, parseScript, type Step } from './http2/script.ts';
import { startHttpApp, TAG, tagOf } from './meaning-apps.ts';
import { mutate, randomOf } from './mutate.ts';
import { Stage } from './stage.ts';
import { HTTP2_CLIENT } from './targets/http2-client.ts';

/** Any host. */
const ROUTE = '*';
/** After the last frame: for answers, and for requests on their way. */
const SETTLE_MS = 60;
/** Where there is a difference it is tried again with more time: it is not to be one of speed. */
const PATIENT_MS = 1_000;
const WAIT_TURNS = 12;

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    changed: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
  },
});
const directory = mkdtempSync(join(tmpdir(), 'pullproxy-differential-'));
const children = new Children();
const app = await startHttpApp();
const stage = await Stage.open({ apps: { [ROUTE]: app.port } });
const ports = { nginx: await nginx(app.port), HAProxy: await haproxy(app.port), pullproxy: stage.port } as const;
const names = Object.keys(ports) as (keyof typeof ports)[];
let run = 0;
let differences = 0;
const inputs = [...HTTP2_CLIENT.seeds, ...readInputs('corpus', HTTP2_CLIENT.name), ...readInputs('crashes', HTTP2_CLIENT.name)];
const random = randomOf(Number(values.seed));
const any = (): Buffer => inputs[Math.floor(random() * inputs.length)] as Buffer;
const changed = Array.from({ length: Number(values.changed) }, () => mutate(any(), any(), HTTP2_CLIENT.words, random, true));
const all = [...inputs, ...changed];
for (const input of all) {
  // Both the others have no other kind of route.
  const steps = parseScript(Buffer.from(input.toString('latin1').replaceAll('h2c.test', 'app.test'), 'latin1'));
  let outcomes = await playedByAll(steps, SETTLE_MS);
  if (differs(outcomes)) outcomes = await playedByAll(steps, PATIENT_MS);
  if (!differs(outcomes)) continue;
  differences++;
  console.log(JSON.stringify({ input: input.toString('latin1'), ...Object.fromEntries(outcomes) }));
}
console.log(JSON.stringify({ inputs: all.length, differences }));
await children.stopAll();
rmSync(directory, { recursive: true, force: true });
process.exit();

async function playedByAll(steps: readonly Step[], settleMs: number): Promise<ReadonlyMap<string, string>> {
  const outcomes = new Map<string, string>();
  for (const name of names) outcomes.set(name, await played(ports[name], steps, settleMs));
  return outcomes;
}

function differs(outcomes: ReadonlyMap<string, string>): boolean {
  const [first, second, ours] = names.map((name) => outcomes.get(name));
  return ours !== first && ours !== second && (first === second || values.all === true);
}

/** What the application understood of each request, and how each answer ended. */
async function played(port: number, given: readonly Step[], settleMs: number): Promise<string> {
  const tag = `d${run++}`;
  const opened = new Set<number>();
  const steps = given.map((step) => {
    if (step.kind !== 'headers' || opened.has(step.id)) return step;
    opened.add(step.id);
    return { ...step, fields: [...step.fields.filter(([name]) => name.toLowerCase() !== TAG), [TAG, `${tag}-${step.id}`] as const] };
  });
  const socket = connect({ port, host: '127.0.0.1', noDelay: true }).on('error', () => {});
  const ends = new Map<number, string>();
  const scanner = new FrameScanner();
  socket.on('data', (chunk: Buffer) => {
    for (const { type, flags, id } of scanner.push(chunk)) {
      if (type === Type.RST_STREAM && !ends.has(id)) ends.set(id, 'reset');
      if ((type === Type.DATA || type === Type.HEADERS) && (flags & END_STREAM) !== 0) ends.set(id, 'ended');
    }
  });
  socket.write(PREFACE);
  socket.write(bytesOf({ kind: 'settings', values: [[4, 0x7fffffff]] }) as Buffer);
  for (const step of steps) {
    if (step.kind === 'wait') for (let i = 0; i < WAIT_TURNS; i++) await turn();
    const said = bytesOf(step);
    if (said !== null && socket.writable) socket.write(said);
    if (step.kind === 'fin') socket.end();
    if (step.kind === 'rst') socket.resetAndDestroy();
    if (step.kind === 'fin' || step.kind === 'rst') break;
  }
  await delay(settleMs);
  socket.destroy();
  await delay(settleMs / 3);
  const got = app.got.splice(0).filter((request) => tagOf(request).startsWith(`${tag}-`));
  const understood = got.map((request) => {
    const body = Buffer.concat(request.body);
    // What was read of a request that was broken off is a matter of time.
    const bytes = request.complete ? `${body.length} bytes` : 'broken off';
    return `${tagOf(request).split('-')[1]}: ${request.method} ${request.target.slice(0, 40)} ${bytes} ${fieldsOf(request.fields)}`;
  });
  // A refusal may be an answer or a reset.
  const served = new Set(got.map((request) => Number(tagOf(request).split('-')[1])));
  const answers = [...opened].map((id) => `${id} ${ends.has(id) && !served.has(id) ? 'refused' : (ends.get(id) ?? 'none')}`);
  return [...understood.sort(), ...answers].join(', ');
}

/** Fields that a test has made up: what every proxy passes on as it is, or refuses. */
function fieldsOf(fields: readonly (readonly [string, string])[]): string {
  const own = fields.filter(([name]) => /^(x-a|x-b|cookie|constructor|__proto__)$/i.test(name));
  return own.map(([name, value]) => `${name.toLowerCase()}=${value.slice(0, 20)}`).join('&');
}

async function nginx(appPort: number): Promise<number> {
  const port = await freePort();
  const file = join(directory, 'nginx.conf');
  mkdirSync(join(directory, 'temporary'));
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/temporary/${name};`);
  writeFileSync(
    file,
    `daemon off; pid ${directory}/nginx.pid; worker_processes 1; error_log ${directory}/nginx.log crit;
events { worker_connections 1024; }
http {
  access_log off; ${paths.join(' ')}
  upstream application { server 127.0.0.1:${appPort}; keepalive 8; }
  server {
    listen 127.0.0.1:${port} http2;
    underscores_in_headers on;
    location / {
      proxy_pass http://application; proxy_request_buffering off; proxy_buffering off;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    }
  }
}
`,
  );
  children.start('nginx', ['-c', file, '-e', join(directory, 'nginx.log')]);
  await accepts(port);
  return port;
}

async function haproxy(appPort: number): Promise<number> {
  const port = await freePort();
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(
    file,
    `defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:${port} proto h2
  default_backend b
backend b
  http-reuse safe
  server s 127.0.0.1:${appPort}
`,
  );
  const child = children.start('haproxy', ['-f', file, '-q']);
  child.once('exit', () => {});
  await accepts(port);
  return port;
}
