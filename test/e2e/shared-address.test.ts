/**
 * The configurations under deploy/keepalived and deploy/bird, as they are shipped, on machines of a network of their own: what clients lose when a
 * node is told to leave, is killed, or loses its cable. Linux, as root.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SECRET } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { Lan } from '../support/lan.ts';
import { ownDirectory, type Running, startProcess } from '../support/processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CLIENT = join(ROOT, 'test/support/apps/steady-client.mjs');
const HOST = 'app.example.com';
const NODES = ['a', 'b'] as const;
const ADDRESSES = { a: '192.0.2.11', b: '192.0.2.12' } as const;
const REDIS = 'redis://192.0.2.30:6379';
/** What clients send in a second. */
const PER_SECOND = 100;

const has = (program: string): boolean => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${program}`]).status === 0;
const isMissing = (...programs: string[]): boolean => process.getuid?.() !== 0 || !programs.every(has);
const programs = ['ip', 'curl', 'redis-server', 'keepalived', 'bird'];
if (isMissing(...programs) && process.env.CI === 'true') throw new Error(`the tests need root and ${programs}`);

type Name = (typeof NODES)[number];

interface Lost {
  readonly sent: number;
  readonly lost: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly longestGapMs: number;
}

let lan: Lan;
let folder: string;
const children: ChildProcess[] = [];
const nodes = new Map<Name, Running>();

/** A program at a machine, which is ended with the test. */
function run(machine: string, ...words: readonly string[]): ChildProcess {
  const [program = '', ...args] = [...lan.at(machine), ...words];
  const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr?.resume();
  children.push(child);
  return child;
}

async function startNode(name: Name): Promise<void> {
  const own = ['--id', name, '--listen', 'http://0.0.0.0:80', '--backend', `${ADDRESSES[name]}:9080`];
  const args = ['node', ...own, '--redis', REDIS, '--drain-delay', '4s', '--drain-timeout', '10s'];
  nodes.set(name, await startProcess(args, { env: { PULLPROXY_SECRET: SECRET }, within: lan.at(name) }));
}

/** Two nodes and, at a machine of their own, Redis and an instance. */
async function startCluster(): Promise<void> {
  const redis = run('apps', 'redis-server', '--bind', '192.0.2.30', '--protected-mode', 'no', '--save', '');
  for await (const line of createInterface({ input: redis.stdout as NodeJS.ReadableStream })) if (line.includes('Ready to accept')) break;
  redis.stdout?.resume();
  await Promise.all(NODES.map(startNode));
  const proxies = NODES.flatMap((name) => ['--proxy', `${ADDRESSES[name]}:9080`]);
  const app = [process.execPath, join(ROOT, 'deploy/examples/demo-app.mjs')];
  const args = ['linker', ...proxies, '--route', HOST, '--concurrency', '50', '--', ...app];
  await startProcess(args, { env: { PULLPROXY_SECRET: SECRET }, within: lan.at('apps') });
}

/** Sends requests to `address` all the time while `happens` does, and for a while after it. */
async function losses(address: string, happens: () => Promise<void>): Promise<Lost> {
  const client = run('client', process.execPath, CLIENT, `http://${address}/`, HOST);
  const lines = createInterface({ input: client.stdout as NodeJS.ReadableStream });
  const said: string[] = [];
  lines.on('line', (line) => said.push(line));
  await eventually('the client begins', () => said.length === 1);
  await happens();
  client.kill('SIGTERM');
  await once(client, 'close');
  return JSON.parse(said[1] ?? '') as Lost;
}

function serves(address: string): boolean {
  const [program = '', ...args] = [...lan.at('client'), 'curl', '--silent', '--fail', '--max-time', '1', '--output', '/dev/null'];
  return spawnSync(program, [...args, '--header', `Host: ${HOST}`, `http://${address}/`]).status === 0;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

const report: string[] = [];
function note(what: string, { sent, lost, kinds, longestGapMs }: Lost): void {
  report.push(`${what}: ${lost} of ${sent} lost, longest gap ${longestGapMs} ms ${JSON.stringify(kinds)}`);
}
afterAll(() => {
  process.stdout.write(`${report.join('\n')}\n`);
});

beforeEach(() => {
  lan = new Lan();
  folder = ownDirectory();
});
afterEach(async () => {
  for (const node of nodes.values()) node.kill('SIGKILL');
  nodes.clear();
  for (const child of children.splice(0)) child.kill('SIGTERM');
  await pause(300);
  lan.remove();
});

(isMissing('ip', 'curl', 'redis-server', 'keepalived') ? describe.skip : describe)('a virtual address by keepalived', () => {
  const ADDRESS = '192.0.2.100';
  const CONFIG = join(ROOT, 'deploy/keepalived/keepalived.conf');

  beforeEach(async () => {
    for (const name of NODES) lan.machine(name, `${ADDRESSES[name]}/24`);
    lan.machine('apps', '192.0.2.30/24');
    lan.machine('client', '192.0.2.20/24');
    await startCluster();
    for (const name of NODES) {
      // The commands of the configuration's own comment.
      for (const [, step = ''] of readFileSync(CONFIG, 'utf8').matchAll(/^# {3}((?:sysctl|ip) .*)$/gm)) lan.run(name, ...step.split(' '));
      const pid = (what: string): string[] => [`--${what}`, join(folder, `${name}.${what}`)];
      const files = [...pid('pid'), '--vrrp_pid', join(folder, `${name}.vrrp`), '--checkers_pid', join(folder, `${name}.checkers`)];
      run(name, '/usr/sbin/keepalived', '--dont-fork', '--vrrp', '--use-file', CONFIG, ...files);
    }
    await eventually('somebody has the address', () => serves(ADDRESS), 30_000);
  });

  const owner = (): Name | undefined =>
    NODES.find((name) => lan.run(name, 'ip', '-oneline', 'address', 'show', 'eth0').includes(`${ADDRESS}/`));
  async function moved(from: Name | undefined): Promise<void> {
    await eventually('the other one has it', () => owner() !== undefined && owner() !== from, 20_000);
  }

  test('loses no request when a node is told to leave, nor when it comes back', async () => {
    const first = owner() as Name;
    const lost = await losses(ADDRESS, async () => {
      await pause(1_000);
      nodes.get(first)?.kill('SIGTERM');
      await moved(first);
      expect((await nodes.get(first)?.exit)?.code).toBe(0);
      await startNode(first);
      await pause(4_000);
    });
    note('keepalived, SIGTERM', lost);
    expect(lost).toMatchObject({ lost: 0, kinds: {} });
    expect(lost.sent).toBeGreaterThan(3 * PER_SECOND);
  });

  test('loses what comes within three seconds when a node is killed', async () => {
    const first = owner() as Name;
    const lost = await losses(ADDRESS, async () => {
      await pause(1_000);
      nodes.get(first)?.kill('SIGKILL');
      await moved(first);
      await pause(2_000);
    });
    note('keepalived, SIGKILL', lost);
    expect(lost.longestGapMs).toBeLessThan(3_500);
    expect(lost.lost).toBeLessThan(3 * PER_SECOND);
  });

  test('loses what comes within a second when a machine loses its cable', async () => {
    const first = owner() as Name;
    const lost = await losses(ADDRESS, async () => {
      await pause(1_000);
      lan.unplug(first);
      const other = NODES.find((name) => name !== first) as Name;
      await eventually('the other one has it', () => lan.run(other, 'ip', '-oneline', 'address', 'show', 'eth0').includes(`${ADDRESS}/`));
      await pause(2_000);
    });
    note('keepalived, link down', lost);
    // Nobody knows at once that the instance's slots were lent to the node that is gone: links are given up after some seconds.
    expect(lost.longestGapMs).toBeLessThan(6_000);
    expect(lost.lost).toBeLessThan(PER_SECOND);
  });
});

(isMissing('ip', 'curl', 'redis-server', 'bird') ? describe.skip : describe)('an anycast address by BIRD', () => {
  const ADDRESS = '203.0.113.80';
  const CONFIG = join(ROOT, 'deploy/bird/bird.conf');

  beforeEach(async () => {
    lan.machine('router', '192.0.2.1/24');
    for (const name of NODES) lan.machine(name, `${ADDRESSES[name]}/24`);
    lan.machine('apps', '192.0.2.30/24');
    lan.behind('router', 'client', '198.51.100.20/24', '198.51.100.1/24');
    lan.run('router', 'sysctl', '-w', 'net.ipv4.ip_forward=1', 'net.ipv4.fib_multipath_hash_policy=1');
    await startCluster();
    const neighbors = NODES.map(
      (name) =>
        `protocol bgp ${name} { local as 65000; neighbor ${ADDRESSES[name]} as 65001; bfd on; connect delay time 1; error wait time 1, 5; ipv4 { import all; export none; }; }`,
    );
    const router = join(folder, 'router.conf');
    writeFileSync(
      router,
      `router id 192.0.2.1;\nprotocol device { }\nprotocol bfd { interface "eth0" { interval 100 ms; multiplier 3; }; }\nprotocol kernel { merge paths on; ipv4 { import none; export all; }; }\n${neighbors.join('\n')}\n`,
    );
    bird('router', router);
    for (const name of NODES) {
      for (const [, step = ''] of readFileSync(CONFIG, 'utf8').matchAll(/^# {3}((?:sysctl|ip) .*)$/gm)) lan.run(name, ...step.split(' '));
      lan.run(name, 'ip', 'route', 'add', 'default', 'via', '192.0.2.1');
      bird(name, CONFIG);
      mkdirSync(join(folder, name));
      // As birdc finds BIRD at its own machine.
      writeFileSync(join(folder, name, 'birdc'), `#!/bin/sh\nexec /usr/sbin/birdc -s ${folder}/${name}.ctl "$@"\n`, { mode: 0o755 });
      run(name, 'env', `PATH=${folder}/${name}:${process.env.PATH}`, join(ROOT, 'deploy/bird/announce.sh'));
    }
    await eventually('both are announced', () => NODES.every((name) => routes().includes(ADDRESSES[name])), 90_000);
  });

  function bird(name: string, config: string): void {
    run(name, '/usr/sbin/bird', '-f', '-c', config, '-s', join(folder, `${name}.ctl`), '-P', join(folder, `${name}.pid`));
  }
  const routes = (): string => lan.run('router', 'ip', 'route', 'show', ADDRESS);
  const withdrawn = (name: Name): Promise<void> => eventually('withdrawn', () => !routes().includes(ADDRESSES[name]), 20_000);

  test('loses no request when a node is told to leave', async () => {
    const lost = await losses(ADDRESS, async () => {
      await pause(1_000);
      nodes.get('a')?.kill('SIGTERM');
      await withdrawn('a');
      expect((await nodes.get('a')?.exit)?.code).toBe(0);
      await pause(1_000);
    });
    note('bird, SIGTERM', lost);
    // A connection whose handshake is under way when the route changes ends at the other node, which knows nothing of it.
    expect(lost.lost).toBeLessThanOrEqual(1);
    expect(Object.keys(lost.kinds).filter((kind) => kind !== 'ECONNRESET')).toEqual([]);
    expect(lost.sent).toBeGreaterThan(3 * PER_SECOND);
  });

  test('loses what comes within a second when a node is killed', async () => {
    const lost = await losses(ADDRESS, async () => {
      await pause(1_000);
      nodes.get('a')?.kill('SIGKILL');
      await withdrawn('a');
      await pause(2_000);
    });
    note('bird, SIGKILL', lost);
    expect(lost.lost).toBeLessThan(PER_SECOND);
  });

  test('loses what comes within half a second when a machine loses its cable', async () => {
    const lost = await losses(ADDRESS, async () => {
      await pause(1_000);
      lan.unplug('a');
      await withdrawn('a');
      await pause(2_000);
    });
    note('bird, link down', lost);
    expect(lost.lost).toBeLessThan(PER_SECOND);
  });
});
