/** One application behind a linker and a node, with one limit, under an open-loop load. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/linker/free-port.ts';
import type { StartedNode, Surroundings } from '../surroundings.ts';
import type { Case, Phase } from './cases.ts';
import { OpenLoop } from './open-loop.ts';

/** The node writes its log within this. */
const WRITTEN_MS = 300;
/** Between two looks at the limit. */
const LOOK_EVERY_MS = 100;

/** What was seen of one request that the application served. */
export interface Served {
  /** When it was over; ms since the load began. */
  readonly atMs: number;
  /** From when it left the node until its response was complete. */
  readonly insideMs: number;
}

export interface Trial {
  readonly served: readonly Served[];
  /** `atMs` and the limit. */
  readonly limits: readonly (readonly [number, number])[];
  /** Responses that the application did not give. */
  readonly refused: number;
}

/** A line of the access log. */
interface Entry {
  readonly route: string;
  readonly time: string;
  readonly status: number;
  readonly holdMs: number;
  readonly totalMs: number;
}

export interface Place {
  readonly surroundings: Surroundings;
  readonly node: StartedNode;
  /** The file of the node's access log. */
  readonly accessLog: string;
  /** The core that the application has for itself; undefined: none. */
  readonly appCore: string | undefined;
  readonly redis: string;
}

export interface Load {
  readonly perSecond: number;
  readonly seconds: number;
}

let trials = 0;

export async function trial(
  place: Place,
  { app, workMs }: Case,
  phases: readonly Phase[],
  limit: number | 'auto',
  loads: readonly Load[],
): Promise<Trial> {
  const { surroundings, node, appCore, redis } = place;
  const route = `trial-${++trials}.test`;
  const file = fileURLToPath(new URL(`../apps/${app}`, import.meta.url));
  const pinned = appCore === undefined || app === 'database.mjs' ? [] : ['taskset', '-c', appCore];
  const workers = phases.map((phase) => `${phase.workers}:${phase.seconds}`).join(',');
  const env = { WORK_MS: String(workMs), WORKERS: workers, REDIS_URL: redis };
  const control = join(surroundings.directory, `${route}.control`);
  const args = ['linker', '--proxy', node.backend, '--route', route, '--concurrency', String(limit), '--control', control];
  const { child } = await surroundings.children.pullproxy([...args, '--', ...pinned, process.execPath, file], env);
  const load = new OpenLoop(node.address, route);
  const from = Date.now();
  const limits: (readonly [number, number])[] = [];
  const looking = setInterval(
    () => void limitOf(control).then((now) => now !== null && limits.push([Date.now() - from, now])),
    LOOK_EVERY_MS,
  );
  try {
    for (const { perSecond, seconds } of loads) await load.come(perSecond, seconds);
  } finally {
    clearInterval(looking);
    load.end();
    child.kill('SIGKILL');
  }
  await pause(WRITTEN_MS);
  return { served: readAccess(place.accessLog, route, from), limits, refused: load.refused.length };
}

/** What the application has served, as the node logs it. */
function readAccess(file: string, route: string, from: number): Served[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  const entries = lines.map((line) => JSON.parse(line) as Entry).filter((entry) => entry.route === route && entry.status === 200);
  return entries.map(({ time, holdMs, totalMs }) => ({ atMs: Date.parse(time) - from, insideMs: totalMs - holdMs }));
}

/** The limit of the linker as it is now. null: nobody says it. */
function limitOf(control: string): Promise<number | null> {
  return new Promise((resolve) => {
    const asked = request({ socketPath: control, path: '/', agent: false }, (response) => {
      response
        .setEncoding('utf8')
        .on('data', (text: string) => resolve((JSON.parse(text) as { readonly concurrency: number }).concurrency));
    });
    asked.on('error', () => resolve(null)).end();
  });
}

export async function startPlace(surroundings: Surroundings, appCore: string | undefined): Promise<Place> {
  const accessLog = join(surroundings.directory, 'access.log');
  const node = await surroundings.startNode({ args: ['--hold-timeout', '5m', '--access-log', accessLog] });
  const port = await freePort();
  const redis = [
    'redis-server',
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--enable-debug-command',
    'local',
    '--dir',
    surroundings.directory,
  ];
  const [command = '', ...args] = appCore === undefined ? redis : ['taskset', '-c', appCore, ...redis];
  surroundings.children.start(command, args);
  return { surroundings, node, accessLog, appCore, redis: `redis://127.0.0.1:${port}` };
}
