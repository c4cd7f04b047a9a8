/**
 * Applications that change their limits at random, by their answers and at their control sockets, behind three nodes under load, while nodes
 * and linkers are killed. They count themselves, see test/support/apps/breathing-app.mjs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BREATHING_APP } from '../../support/apps/apps.ts';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, Ledger, SECRET, setRoute, startLinker, startNode } from '../../support/cluster.ts';
import { type Running, startProcess } from '../../support/processes.ts';
import { startRedis } from '../../support/redis.ts';

const ROUTE = 'breathing.example.com';
const LIMIT = 4;
/** A client that no slot comes to for so long is lost. */
const HOLD_TIMEOUT = '20s';

export interface Breathing {
  /** In all. */
  readonly changes: number;
  readonly clients: number;
  readonly killEveryMs: number;
  /** Most of the time for one change of one application. */
  readonly changeEveryMs: number;
  readonly say?: (line: string) => void;
}

export interface Breath {
  readonly changes: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
  readonly answered: number;
  /** Requests at nodes that lived that were not answered with 200. */
  readonly lost: readonly string[];
  /** Requests that broke with the node that was killed. */
  readonly broken: number;
  readonly kills: Readonly<Record<'node' | 'linker', number>>;
}

interface Change {
  readonly by?: string;
  readonly done?: boolean;
}

export async function breathe({ changes, clients, killEveryMs, changeEveryMs, say = () => {} }: Breathing): Promise<Breath> {
  const redis = await startRedis();
  const ledger = new Ledger();
  const places: ClusterNode[] = [];
  for (const id of ['a', 'b', 'c']) places.push(await startNode(redis.url, ['--id', id]));
  await setRoute(redis.url, ROUTE, `holdTimeout=${HOLD_TIMEOUT}`, 'maxInstances=0');
  const env = { ...ledger.env(LIMIT), CHANGES: '1000000', CHANGE_EVERY_MS: String(changeEveryMs) };
  const linker = (): Promise<Running> =>
    startLinker({ proxies: places.map(({ backend }) => backend), route: ROUTE, concurrency: LIMIT, app: BREATHING_APP }, env);
  const linkers = [await linker(), await linker()];
  /** Since when each node is away; 0: it is there. */
  const killedAt = places.map(() => 0);
  const lost: string[] = [];
  const kills = { node: 0, linker: 0 };
  let answered = 0;
  let broken = 0;
  let isOver = false;

  const client = async (first: number): Promise<void> => {
    for (let i = first; !isOver; i++) {
      const at = i % places.length;
      if (killedAt[at] !== 0) {
        await sleep(20);
        continue;
      }
      const { url } = places[at] as ClusterNode;
      const path = `/slow?ms=${(i * 7) % 40}`;
      const answer = await ask(url, { host: ROUTE, path }).catch((error: Error) => ({ status: 0, headers: {}, body: error.message }));
      if (answer.status === 200) answered++;
      else if (answer.status === 0 && killedAt[at] !== 0) broken++;
      else if (!isOver) lost.push(`${answer.status} ${JSON.stringify(answer.headers)} ${answer.body}`);
    }
  };

  const killNode = async (at: number): Promise<void> => {
    const node = places[at] as ClusterNode;
    killedAt[at] = performance.now();
    node.kill('SIGKILL');
    await node.exit;
    kills.node++;
    await sleep(200);
    const ports = ['--listen', node.url, '--backend', node.backend, '--admin', '127.0.0.1:0', '--redis', redis.url];
    const running = await startProcess(['node', ...ports, '--id', 'abc'[at] as string], { env: { PULLPROXY_SECRET: SECRET } });
    places[at] = { ...node, ...running };
    // The clients that were connected to the killed one have heard of it.
    await sleep(100);
    killedAt[at] = 0;
  };

  const killLinker = async (at: number): Promise<void> => {
    (linkers[at] as Running).kill('SIGKILL');
    await (linkers[at] as Running).exit;
    kills.linker++;
    linkers[at] = await linker();
  };

  const said = (): Change[] => ledger.lines(ledger.starts).map((line) => JSON.parse(line) as Change);
  const running = Array.from({ length: clients }, (_, i) => client(i));
  try {
    for (let round = 0; said().length < changes; round++) {
      await sleep(killEveryMs);
      if (round % 2 === 0) await killLinker((round / 2) % linkers.length);
      else await killNode(((round - 1) / 2) % places.length);
      say(`${said().length} changes, ${answered} answers, ${ledger.lines(ledger.violations).length} violations, ${lost.length} lost`);
    }
  } finally {
    isOver = true;
    // Clients that are held where all applications take nothing now.
    await Promise.race([Promise.all(running), sleep(25_000)]);
    await Promise.all([...linkers, ...places].map((process) => process.stop()));
    await redis.stop();
  }
  const counted: Record<string, number> = {};
  for (const { by = 'end' } of said()) counted[by] = (counted[by] ?? 0) + 1;
  const violations = ledger.lines(ledger.violations);
  ledger.remove();
  return { changes: counted, violations, answered, lost, broken, kills };
}
