/**
 * Compares one node and one linker with two chained HAProxy processes of one thread each, in one run, alternating: machines
 * are noisy, only the ratio counts. Needs nginx, haproxy and wrk.
 *
 *     npm run bench [-- --rounds 5 --seconds 5]
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort } from '../../src/linker/free-port.ts';
import { accepts, Children, rss } from './children.ts';
import { type Load, median, wrk } from './load.ts';

interface Case {
  readonly name: string;
  readonly clients: number;
  readonly headers: readonly string[];
}

const CASES: readonly Case[] = [
  ...[10, 50, 200].map((clients) => ({ name: `keep-alive, ${clients} clients`, clients, headers: [] })),
  { name: 'Connection: close, 50 clients', clients: 50, headers: ['Connection: close'] },
];
const CONCURRENCY = 50;
const HELD_CLIENTS = 8_000;

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '5' }, json: { type: 'string' } },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const directory = mkdtempSync(join(tmpdir(), 'pullproxy-bench-'));
const children = new Children();
let origin = 0;

try {
  const targets = { chain: await startChain(), pullproxy: await startPullproxy() };
  const results = [];
  for (const one of CASES) results.push({ case: one.name, ...(await compare(one, targets)) });
  const held = await heldMemory();
  console.table(
    Object.fromEntries(
      results.map(({ case: name, chain, pullproxy, ratio }) => [
        name,
        {
          'chain req/s': Math.round(chain.requestsPerSecond),
          'pullproxy req/s': Math.round(pullproxy.requestsPerSecond),
          ratio: ratio.toFixed(2),
          'chain p50/p99 ms': `${chain.p50Ms.toFixed(2)} / ${chain.p99Ms.toFixed(2)}`,
          'pullproxy p50/p99 ms': `${pullproxy.p50Ms.toFixed(2)} / ${pullproxy.p99Ms.toFixed(2)}`,
          errors: pullproxy.errors,
        },
      ]),
    ),
  );
  console.log(
    `${HELD_CLIENTS} held clients: ${(held.rssAfter / 1e6).toFixed(0)} MB resident, ${Math.round(held.bytesEach)} bytes each beyond the idle node`,
  );
  const report = {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    node: process.version,
    rounds,
    seconds,
    results,
    held,
  };
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
} finally {
  await children.stopAll();
  rmSync(directory, { recursive: true, force: true });
}

async function compare(one: Case, targets: Record<'chain' | 'pullproxy', string>) {
  const runs: Record<'chain' | 'pullproxy', Load[]> = { chain: [], pullproxy: [] };
  for (let round = 0; round < rounds; round++)
    for (const target of ['chain', 'pullproxy'] as const) runs[target].push(await wrk(targets[target], one.clients, seconds, one.headers));
  const ratios = runs.pullproxy.map((load, i) => load.requestsPerSecond / (runs.chain[i] as Load).requestsPerSecond);
  return { chain: medians(runs.chain), pullproxy: medians(runs.pullproxy), ratio: median(ratios), ratios };
}

function medians(loads: readonly Load[]): Load {
  const of = (key: keyof Load) => median(loads.map((load) => load[key]));
  return {
    requestsPerSecond: of('requestsPerSecond'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    errors: loads.reduce((sum, load) => sum + load.errors, 0),
  };
}

async function startOrigin(): Promise<number> {
  const port = await freePort();
  mkdirSync(join(directory, 'www'));
  children.start('nginx', ['-c', configFile('origin.conf', { DIR: directory, PORT: port })]);
  await accepts(port);
  return port;
}

async function startChain(): Promise<string> {
  origin = await startOrigin();
  const [front, sidecar] = [await freePort(), await freePort()];
  children.start('haproxy', ['-db', '-f', configFile('chain.cfg', { LISTEN: sidecar, SERVER: origin }, 'sidecar.cfg')]);
  children.start('haproxy', ['-db', '-f', configFile('chain.cfg', { LISTEN: front, SERVER: sidecar }, 'front.cfg')]);
  await accepts(front);
  return `http://127.0.0.1:${front}/`;
}

async function startPullproxy(): Promise<string> {
  const { ready } = await children.pullproxy(nodeArgs());
  await children.pullproxy([
    'linker',
    '--proxy',
    String(ready.backend),
    '--route',
    '127.0.0.1',
    '--concurrency',
    String(CONCURRENCY),
    '--app',
    `127.0.0.1:${origin}`,
  ]);
  return `${(ready.listen as string[])[0]}/`;
}

function nodeArgs(): string[] {
  return ['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
}

/** How much a node grows by clients that wait for an application which never starts. */
async function heldMemory() {
  const config = join(directory, 'held.yaml');
  writeFileSync(config, 'routes:\n  held.test:\n    holdTimeout: 5m\n');
  const { child, ready } = await children.pullproxy([...nodeArgs(), '--config', config]);
  const { port } = new URL((ready.listen as string[])[0] as string);
  const pid = child.pid as number;
  const sockets: Socket[] = [];
  // A node that has served a little is the honest base: its code is compiled and its pools are there.
  await holdClients(500, Number(port), sockets);
  const rssBefore = rss(pid);
  await holdClients(HELD_CLIENTS, Number(port), sockets);
  const rssAfter = rss(pid);
  for (const socket of sockets) socket.destroy();
  return { clients: HELD_CLIENTS, rssBefore, rssAfter, bytesEach: (rssAfter - rssBefore) / HELD_CLIENTS };
}

async function holdClients(count: number, port: number, sockets: Socket[]): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(
      `GET /some/page?number=${i} HTTP/1.1\r\nHost: held.test\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nCookie: session=0123456789abcdef\r\n\r\n`,
    );
    sockets.push(socket);
  }
  await new Promise((resolve) => setTimeout(resolve, 2_000));
}

function configFile(template: string, variables: Record<string, string | number>, name = template): string {
  let text = readFileSync(new URL(`./yardstick/${template}.template`, import.meta.url), 'utf8');
  for (const [key, value] of Object.entries(variables)) text = text.replaceAll(`@${key}@`, String(value));
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}
