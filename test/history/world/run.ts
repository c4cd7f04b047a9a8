/** One run: a cluster, its clients and a schedule of faults; then its history is checked. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../e2e/chaos/random.ts';
import { compressNow, HistoryFile } from '../recorder/history-file.ts';
import { Clients } from './clients.ts';
import { Nemesis } from './nemesis.ts';
import type { RouteSpec } from './routes.ts';
import type { Act } from './schedule.ts';
import { SOURCE } from './source.ts';
import { World } from './world.ts';

const ROUTES: readonly RouteSpec[] = [
  { name: 'plain.test', maxInstances: 3, fair: false },
  { name: 'fair.test', maxInstances: 2, fair: true },
  { name: 'keyed.test', maxInstances: 1, fair: false, keys: ['red', 'green'] },
];
/** After the last act, with clients still there: what follows from it shows by then. */
const SETTLE_MS = 4_000;

export interface RunOptions {
  readonly directory: string;
  readonly seed: number;
  readonly ms: number;
  readonly clients: number;
  readonly acts: readonly Act[];
  readonly nodes?: number;
  readonly scalers?: number;
  readonly sentinels?: boolean;
  /** The code that runs; without it the one beside. */
  readonly source?: string;
  readonly say?: (line: string) => void;
}

export interface RunReport {
  readonly sent: number;
  readonly answered: number;
  readonly endedUnasked: readonly string[];
  readonly said: Readonly<Record<string, number>>;
}

export async function runHistory(options: RunOptions): Promise<RunReport> {
  const { directory, seed, ms, acts, say = () => {} } = options;
  mkdirSync(directory, { recursive: true });
  const operator = new HistoryFile(directory, 'operator', 'operator');
  const file = new HistoryFile(directory, 'client', 'clients');
  operator.add({ e: 'run', seed });
  const world = new World({
    history: directory,
    operator,
    routes: ROUTES,
    nodes: options.nodes ?? 3,
    scalers: options.scalers ?? 2,
    source: options.source ?? SOURCE,
    sentinels: options.sentinels ?? false,
  });
  const tell = setInterval(() => say(`${clients.answered} of ${clients.sent} answered`), 10_000);
  const clients = new Clients({ file, random: new Random(seed + 1), routes: ROUTES, nodes: world.nodes });
  try {
    await world.start();
    const served = clients.run(options.clients);
    await Promise.all([new Nemesis(world).run(acts), delay(ms)]);
    await delay(SETTLE_MS);
    clients.stop();
    await served;
    operator.add({ e: 'quiet', seed });
  } finally {
    clearInterval(tell);
    await world.stop();
    await Promise.all([operator.close(), file.close()]);
  }
  for (const name of readdirSync(directory)) if (name.endsWith('.jsonl')) compressNow(join(directory, name));
  return { sent: clients.sent, answered: clients.answered, endedUnasked: world.endedUnasked, said: Object.fromEntries(world.said) };
}
