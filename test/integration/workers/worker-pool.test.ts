import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { ConfigError } from '../../../src/errors.ts';
import { WorkerPool } from '../../../src/workers/worker-pool.ts';
import { WorkerProcess } from '../../../src/workers/worker-process.ts';
import { eventually } from '../../support/eventually.ts';

const MEMBER = fileURLToPath(new URL('../../support/apps/pool-member.mjs', import.meta.url));

const pools: WorkerPool[] = [];
const said: string[] = [];
const lines: Record<string, unknown>[] = [];
const log = pino(
  { level: 'info' },
  {
    write(line: string) {
      const parsed = JSON.parse(line) as { msg: string };
      said.push(parsed.msg);
      lines.push(parsed);
    },
  },
);

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.leave(0)));
  said.length = 0;
  lines.length = 0;
});

/** `manners(number, times)`: how the worker of that number behaves when it is started for the `times`th time, from 1. */
function poolOf(size: number, manners: (number: number, times: number) => string[] = () => []): WorkerPool {
  const times = new Map<number, number>();
  const pool = new WorkerPool({
    size,
    log,
    start: (number) => {
      times.set(number, (times.get(number) ?? 0) + 1);
      return new WorkerProcess([process.execPath, MEMBER, ...manners(number, times.get(number) ?? 0)]);
    },
  });
  pools.push(pool);
  return pool;
}

function pids(pool: WorkerPool): (number | undefined)[] {
  return pool.serving.map(({ pid }) => pid);
}

describe('a worker pool', () => {
  test('serves when all of its workers do', async () => {
    const pool = poolOf(3);
    await pool.start();
    expect(pool.serving).toHaveLength(3);
    expect(pool.serving.map(({ facts }) => facts)).toEqual(pids(pool).map((pid) => ({ pid })));
  });

  test('does not begin with a worker that can not start, and leaves none behind', async () => {
    const pool = poolOf(2, (number) => (number === 2 ? ['fails'] : []));
    await expect(pool.start()).rejects.toThrow('it ended with 3');
    expect(pool.serving).toEqual([]);
  });

  test('fails with the words of the worker that can not start', async () => {
    const pool = poolOf(2, (number) => (number === 2 ? ['fails-saying'] : []));
    await expect(pool.start()).rejects.toEqual(new ConfigError(['--this: bad']));
  });

  test('that is told to leave while a worker hangs in its start leaves all the same', async () => {
    const pool = poolOf(2, (number) => (number === 2 ? ['stuck'] : []));
    const started = pool.start();
    await eventually('the other one serves', () => pool.serving.length === 1);
    await pool.leave(600_000);
    await started;
    expect(pool.serving).toEqual([]);
  });

  test('waits longer and longer, and says so, when a worker leaves again and again of its own accord', async () => {
    const pool = poolOf(1, () => ['leaves']);
    await pool.start();
    const waits = (): unknown[] => lines.filter(({ msg }) => /has left/.test(String(msg))).map(({ againInMs }) => againInMs);
    await eventually('it has left four times', () => waits().length >= 4, 15_000);
    expect(waits().slice(0, 4)).toEqual([100, 200, 400, 800]);
  });

  test('replaces a worker that was killed, and leaves the others alone', async () => {
    const pool = poolOf(2);
    await pool.start();
    const [first, second] = pids(pool);
    process.kill(first as number, 'SIGKILL');
    await eventually('another one serves', () => pool.serving.length === 2 && !pids(pool).includes(first));
    expect(pids(pool)).toContain(second);
    expect(said).toContain('a worker has died: another one takes its place');
  });

  test('tries again, less and less often, when the replacement can not start', async () => {
    const pool = poolOf(1, (_number, times) => (times > 1 && times < 5 ? ['fails'] : []));
    await pool.start();
    const [first] = pids(pool);
    const began = performance.now();
    process.kill(first as number, 'SIGKILL');
    await eventually('another one serves', () => pool.serving.length === 1 && !pids(pool).includes(first), 15_000);
    // Four deaths in a row: 100, 200, 400 and 800 ms.
    expect(performance.now() - began).toBeGreaterThan(1_400);
  });

  test('kills a worker that hangs', async () => {
    const pool = poolOf(2, (number, times) => (number === 1 && times === 1 ? ['silent'] : []));
    await pool.start();
    const [hanging] = pids(pool);
    await eventually('another one serves', () => pool.serving.length === 2 && !pids(pool).includes(hanging), 18_000);
    expect(said).toContain('a worker hangs: it is killed');
  });

  test('restarts its workers one after the other', async () => {
    const pool = poolOf(3);
    await pool.start();
    const before = pids(pool);
    let fewest = 3;
    const timer = setInterval(() => {
      fewest = Math.min(fewest, pool.serving.length);
    }, 1);
    await Promise.all([pool.restartAll(), pool.restartAll()]);
    clearInterval(timer);
    expect(fewest).toBeGreaterThanOrEqual(2);
    expect(pool.serving).toHaveLength(3);
    expect(pids(pool).filter((pid) => before.includes(pid))).toEqual([]);
  });

  test('restarts a worker that hangs and can not leave', async () => {
    const pool = poolOf(2);
    await pool.start();
    const before = pids(pool);
    process.kill(before[0] as number, 'SIGSTOP');
    await pool.restartAll();
    expect(pids(pool).filter((pid) => before.includes(pid))).toEqual([]);
    expect(pool.serving).toHaveLength(2);
  }, 40_000);

  test('leaves when all workers have left; who takes too long is killed', async () => {
    const pool = poolOf(2, (number) => (number === 1 ? ['slow'] : []));
    await pool.start();
    const workers = pool.serving;
    await pool.leave(300);
    expect(await Promise.all(workers.map(({ ended }) => ended))).toEqual([
      { code: null, signal: 'SIGKILL' },
      { code: 0, signal: null },
    ]);
  });
});

describe('a worker', () => {
  test('answers questions, or fails with the error that it had', async () => {
    const pool = poolOf(1);
    await pool.start();
    const [worker] = pool.serving as [WorkerProcess];
    expect(await worker.call('pid')).toBe(worker.pid);
    await expect(worker.call('redis')).rejects.toMatchObject({ name: 'DirectoryUnavailable', message: 'no redis' });
    await expect(worker.call('settings', ['this', 'that'])).rejects.toEqual(new ConfigError(['this', 'that']));
  });

  test('that ends leaves no question open', async () => {
    const pool = poolOf(1, () => []);
    await pool.start();
    const [worker] = pool.serving as [WorkerProcess];
    process.kill(worker.pid as number, 'SIGSTOP');
    const asked = worker.call('pid');
    worker.kill();
    await expect(asked).rejects.toThrow('the worker has ended');
    await expect(worker.call('pid')).rejects.toThrow('the worker does not serve');
  });
});
