/**
 * Wakes an application from zero again and again, and says what that costs beyond the application's own start: the time to the
 * first answer through `pullproxy dev`, less the time in which the same command answers when it is started directly. The two take
 * turns, so that whatever else the machine does hits both. Where the time went is the answers' own word (`Server-Timing`).
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/linker/free-port.ts';
import { Children } from '../children.ts';
import { percentile } from '../load.ts';
import type { Suite } from './suite.ts';

const APP = fileURLToPath(new URL('../apps/late.mjs', import.meta.url));
const WAKES = 100;
const QUICK_WAKES = 10;

export const wake: Suite = async (_surroundings, { quick }, found) => {
  const wakes = quick ? QUICK_WAKES : WAKES;
  for (const delayMs of quick ? [0] : [0, 200, 2_000]) {
    const children = new Children();
    try {
      const { wakeUp, stages } = await startDev(children, delayMs);
      const [own, woken]: [number[], number[]] = [[], []];
      for (let i = 0; i < wakes; i++) {
        own.push(await startDirectly(children, delayMs));
        woken.push(await wakeUp());
      }
      const say = (name: string, value: number): void =>
        found({ suite: 'wake', name: `${name}, accepts after ${delayMs} ms`, value, unit: 'ms' });
      for (const p of [50, 99]) {
        say(`own start p${p}`, percentile(own, p));
        say(`woken p${p}`, percentile(woken, p));
        say(`beyond its own start p${p}`, percentile(woken, p) - percentile(own, p));
      }
      for (const [stage, values] of stages) say(`stage ${stage} p50`, percentile(values, 50));
    } finally {
      await children.stopAll();
    }
  }
};

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

async function startDev(children: Children, delayMs: number): Promise<{ wakeUp: () => Promise<number>; stages: Map<string, number[]> }> {
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
  const stages = new Map<string, number[]>();
  await answer(url);
  const wakeUp = async (): Promise<number> => {
    for (;;) {
      const { routes } = (await (await fetch(state)).json()) as { routes: { instances: unknown[]; starting: number }[] };
      if (routes.every(({ instances, starting }) => instances.length === 0 && starting === 0)) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const askedAt = performance.now();
    const timing = await answer(url);
    const ms = performance.now() - askedAt;
    for (const [, stage = '', took] of timing.matchAll(/pullproxy-(\w+);dur=([\d.]+)/g)) {
      stages.set(stage, [...(stages.get(stage) ?? []), Number(took)]);
    }
    return ms;
  };
  return { wakeUp, stages };
}

/** Gives the answer's Server-Timing. */
async function answer(url: string): Promise<string> {
  const asked = request(url, { agent: false }).end();
  const [response] = await once(asked, 'response');
  if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}`);
  response.resume();
  await once(response, 'end');
  return String(response.headers['server-timing'] ?? '');
}
