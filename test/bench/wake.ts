/**
 * Wakes an application from zero again and again, and says what that costs beyond the application's own start: the time to the
 * first answer through `pullproxy dev`, less the time in which the same command answers when it is started directly.
 *
 *     node test/bench/wake.ts [--wakes 100]
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Children, freePort } from './children.ts';

const APP = fileURLToPath(new URL('./apps/late.mjs', import.meta.url));
const { values } = parseArgs({ options: { wakes: { type: 'string', default: '100' } } });
const wakes = Number(values.wakes);

for (const delayMs of [0, 200, 2_000]) {
  const children = new Children();
  try {
    const own = await repeat(wakes, () => startDirectly(children, delayMs));
    const woken = await wakeThroughDev(children, delayMs);
    const overhead = [...woken].sort(ascending).map((ms) => ms - percentile(own, 50));
    console.log(
      `accepts after ${delayMs} ms: own start p50 ${percentile(own, 50).toFixed(1)} ms, p99 ${percentile(own, 99).toFixed(1)} ms; ` +
        `woken p50 ${percentile(woken, 50).toFixed(1)} ms, p99 ${percentile(woken, 99).toFixed(1)} ms; ` +
        `beyond p50 ${percentile(overhead, 50).toFixed(1)} ms, p99 ${percentile(overhead, 99).toFixed(1)} ms (${woken.length} wakes)`,
    );
  } finally {
    await children.stopAll();
  }
}

async function startDirectly(children: Children, delayMs: number): Promise<number> {
  const port = await freePort();
  const startedAt = performance.now();
  const child = children.start(process.execPath, [APP], { env: { ...process.env, PORT: String(port), DELAY_MS: String(delayMs) } });
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const up = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    if (up) break;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await answer(`http://127.0.0.1:${port}/`);
  const ms = performance.now() - startedAt;
  child.kill('SIGKILL');
  await once(child, 'exit');
  return ms;
}

async function wakeThroughDev(children: Children, delayMs: number): Promise<number[]> {
  const args = [
    'dev',
    '--listen',
    'http://127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    '--idle-timeout',
    '100ms',
    '--old-idle-timeout',
    '100ms',
  ];
  const { ready } = await children.pullproxy([...args, '--', process.execPath, APP], { DELAY_MS: String(delayMs) });
  const url = (ready.listen as string[])[0] as string;
  const state = `http://${String(ready.admin)}/api/v1/state`;
  await answer(url);
  return repeat(wakes, async () => {
    for (;;) {
      const { routes } = (await (await fetch(state)).json()) as { routes: { instances: unknown[]; starting: number }[] };
      if (routes.every(({ instances, starting }) => instances.length === 0 && starting === 0)) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const askedAt = performance.now();
    await answer(url);
    return performance.now() - askedAt;
  });
}

async function answer(url: string): Promise<void> {
  const asked = request(url, { agent: false }).end();
  const [response] = await once(asked, 'response');
  if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}`);
  response.resume();
  await once(response, 'end');
}

async function repeat(times: number, once: () => Promise<number>): Promise<number[]> {
  const results: number[] = [];
  for (let i = 0; i < times; i++) results.push(await once());
  return results;
}

function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort(ascending);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] as number;
}

function ascending(a: number, b: number): number {
  return a - b;
}
