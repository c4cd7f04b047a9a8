/**
 * How long many routes take to begin at once, from zero: a client of each waits, a scaler runs a command for each, and an instance links. The
 * command only writes down the start: this process reads it and links an instance in itself, after the time that a scheduler would take.
 *
 *     npm run bench:starts [-- --routes 100,1000] [--rates auto,10/1s] [--crowd 0] [--command-ms 0] [--link-ms 300] [--scalers 1]
 *
 * `--crowd N`: one route more whose clients need N instances comes half a second before the others. Needs redis-server.
 */
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Instance, pull } from '../../src/pull/pull.ts';
import { cpuNs } from './rounds.ts';
import { Surroundings } from './surroundings.ts';

const { values } = parseArgs({
  options: {
    routes: { type: 'string', default: '100,1000' },
    rates: { type: 'string', default: 'auto,10/1s' },
    crowd: { type: 'string', default: '0' },
    'command-ms': { type: 'string', default: '0' },
    'link-ms': { type: 'string', default: '300' },
    scalers: { type: 'string', default: '1' },
    parallel: { type: 'string', default: '' },
  },
});
const CROWD = 'crowd.test';
const LOOK_MS = 20;
const linkMs = Number(values['link-ms']);
const commandMs = Number(values['command-ms']);

for (const routes of values.routes.split(',').map(Number)) {
  for (const rate of values.rates.split(',')) console.log(`${routes} routes, --rate ${rate}: ${await burst(routes, rate)}`);
}

async function burst(routes: number, rate: string): Promise<string> {
  const surroundings = new Surroundings();
  const started: Promise<Instance>[] = [];
  const begun = new AbortController();
  try {
    const redis = await surroundings.startRedis();
    const names = Array.from({ length: routes }, (_, n) => `app-${n}.test`);
    const node = await surroundings.startNode({ args: ['--redis', redis, '--routes', writeRoutes(surroundings.directory, names)] });
    const file = join(surroundings.directory, 'starts');
    writeFileSync(file, '');
    const command = ['/bin/sh', '-c', `${commandMs > 0 ? `sleep ${commandMs / 1_000}; ` : ''}echo "$ROUTE $START_ID" >> ${file}`];
    const flags = ['--redis', redis, '--rate', rate, ...(values.parallel === '' ? [] : ['--parallel', values.parallel])];
    const scalers: number[] = [];
    for (let n = 0; n < Number(values.scalers); n++) {
      const { child } = await surroundings.children.pullproxy(['scaler', ...flags, '--', ...command]);
      scalers.push(child.pid as number);
    }
    const cpuMs = (): number => scalers.reduce((sum, pid) => sum + cpuNs(pid), 0) / 1e6;
    const cpuBefore = cpuMs();
    const scheduler = follow(file, begun.signal, (line) => {
      const [route = '', startId = ''] = line.split(' ');
      started.push(pause(linkMs).then(() => link(node.backend, route, startId)));
    });
    const crowd = Number(values.crowd);
    const waiting = Array.from({ length: crowd }, () => ask(node.address, CROWD));
    if (crowd > 0) await pause(500);
    const waits = await Promise.all(names.map((name) => ask(node.address, name)));
    await Promise.all(waiting);
    begun.abort();
    await scheduler;
    const sorted = waits.toSorted((a, b) => a - b);
    const at = (share: number): string => ((sorted[Math.ceil(share * sorted.length) - 1] ?? 0) / 1_000).toFixed(1);
    const cpu = ((cpuMs() - cpuBefore) / started.length).toFixed(1);
    return `half after ${at(0.5)} s, 99 % after ${at(0.99)} s, all after ${at(1)} s; ${started.length} instances, ${cpu} ms of a scaler's processor each`;
  } finally {
    begun.abort();
    await Promise.all(started.map(async (one) => (await one).leave()));
    await surroundings.close();
  }
}

function writeRoutes(directory: string, names: readonly string[]): string {
  const file = join(directory, 'routes.yaml');
  const one = 'maxInstances: 1\n    holdTimeout: 5m';
  const all = names.map((name) => `  ${name}:\n    ${one}`);
  writeFileSync(file, `routes:\n${all.join('\n')}\n  ${CROWD}:\n    maxInstances: 1000\n    concurrency: 1\n    holdTimeout: 5m\n`);
  return file;
}

/** An instance in this process. Those of the crowd keep their client, so that each one needs an instance. */
function link(proxy: string, route: string, startId: string): Promise<Instance> {
  const handle = async (_request: Request): Promise<Response> => {
    if (route === CROWD) await pause(1_000);
    return new Response('ok');
  };
  return pull(handle, { proxy, route, startId, concurrency: 1, logLevel: 'silent' });
}

/** Returns how long the client waited. */
function ask(address: string, host: string): Promise<number> {
  const begun = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const request = get(`http://${address}/`, { headers: { host }, agent: false }, (response) => {
    if (response.statusCode !== 200) reject(new Error(`${host}: ${response.statusCode}`));
    response.resume().on('end', () => resolve(performance.now() - begun));
  });
  request.on('error', reject);
  return promise;
}

/** Each line that is written to the file. */
async function follow(file: string, ended: AbortSignal, each: (line: string) => void): Promise<void> {
  const descriptor = openSync(file, 'r');
  const buffer = Buffer.alloc(65_536);
  let rest = '';
  while (!ended.aborted) {
    const bytes = readSync(descriptor, buffer);
    if (bytes === 0) await pause(LOOK_MS);
    const lines = `${rest}${buffer.toString('utf8', 0, bytes)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) each(line);
  }
  closeSync(descriptor);
}
