import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import type { Bell } from '../../../src/cluster/directory.ts';
import { PROMISE_MS, SWEEP_MIN_MS } from '../../../src/cluster/limits.ts';
import { eventually } from '../../support/eventually.ts';
import { ModelNode } from '../model-node.ts';
import type { World } from '../world.ts';

const route = 'app.example.com';

export function noSlotLost(world: () => World): void {
  /** `lossy`: of 1, the part of all messages between nodes that is lost. */
  async function model(lossy = 0): Promise<ModelNode[]> {
    const nodes = new Map<string, ModelNode>();
    for (const id of ['a', 'b', 'c']) {
      const member = await world().prepare(id, (bell) => losing(bell, lossy));
      await member.start(new ModelNode(member, route, nodes).listener());
    }
    return [...nodes.values()];
  }

  async function serve(nodes: readonly ModelNode[], clients: number, slots: number): Promise<number[]> {
    nodes[0]?.grant(slots);
    const waits: Promise<number>[] = [];
    for (let i = 0; i < clients; i++) {
      const node = nodes[i % nodes.length];
      if (node === undefined) continue;
      const { served, leave } = node.visit();
      const done = served.then(async (waitedMs) => {
        await delay(Math.random() * 4);
        node.grant(1);
        return waitedMs;
      });
      // Some give up, unless they are served before: the slots that were on their way to them must not be lost.
      if (i % 10 === 9) setTimeout(leave, Math.random() * 5);
      else waits.push(done);
      if (i % 5 === 0) await delay(1);
    }
    return Promise.all(waits);
  }

  const idle = (nodes: readonly ModelNode[]): number => nodes.reduce((sum, node) => sum + node.idle, 0);

  describe('slots', () => {
    test('none is lost or doubled, and all clients are served, while they wander between nodes', async () => {
      const nodes = await model();
      const waits = await serve(nodes, 600, 12);
      expect(waits.length).toBe(540);
      await eventually('all slots are idle again', () => idle(nodes) === 12);
      expect(nodes.map(({ held }) => held)).toEqual([0, 0, 0]);
      await eventually('the directory has it so', async () => {
        const { held, free } = await world().observer.startPlan(route);
        return held === 0 && free === 12;
      });
    });

    test('no client waits beside an idle slot when a third of all messages is lost', async () => {
      const nodes = await model(1 / 3);
      await serve(nodes, 200, 9);
      await eventually('all slots are idle again', () => idle(nodes) === 9);
    });

    test('a client gets one from another node although every message between them is lost: the replies to beats say the same', async () => {
      const [a, b] = await model(1);
      if (a === undefined || b === undefined) throw new Error('no model');
      b.grant(2);
      for (let i = 0; i < 3; i++) {
        const two = [a.visit(), a.visit()];
        await Promise.all(two.map(({ served }) => served));
        expect([a.idle, b.idle]).toEqual([0, 0]);
        b.grant(2);
      }
    });

    test('a lone client gets a slot from another node in milliseconds, every time', async () => {
      const [a, b] = await model();
      if (a === undefined || b === undefined) throw new Error('no model');
      b.grant(1);
      const waits: number[] = [];
      for (let i = 0; i < 100; i++) {
        const [client, owner] = i % 2 === 0 ? [a, b] : [b, a];
        expect(owner.idle).toBe(1);
        waits.push(await client.visit().served);
        client.grant(1);
      }
      waits.sort((one, other) => one - other);
      // By messages, before any sweep. A busy machine takes tens of them.
      expect(waits[50]).toBeLessThan(SWEEP_MIN_MS);
      expect(waits[90]).toBeLessThan(PROMISE_MS);
    });
  });
}

/** Messages are lost before they are heard, whoever sent them: scripts of the directory send some. */
function losing(bell: Bell, part: number): Bell {
  const unlessLost = (hear: () => void): void => {
    if (Math.random() >= part) hear();
  };
  return {
    listen: (node, listener) =>
      bell.listen(node, {
        onRing: (ring) => unlessLost(() => listener.onRing(ring)),
        onDemand: (notice) => unlessLost(() => listener.onDemand(notice)),
        onRoutesChanged: () => listener.onRoutesChanged(),
      }),
    ring: bell.ring.bind(bell),
    demand: bell.demand.bind(bell),
    close: bell.close.bind(bell),
  };
}
