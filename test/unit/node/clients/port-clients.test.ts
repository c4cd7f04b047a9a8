import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { PortClient } from '../../../../src/node/clients/port-client.ts';
import { PortClients } from '../../../../src/node/clients/port-clients.ts';
import { Deadlines } from '../../../../src/node/listeners/deadlines.ts';
import { eventually } from '../../../support/eventually.ts';

class Client implements PortClient {
  readonly socket = {} as Socket;
  readonly where = 'client';
  readonly paused = false;
  readonly told: string[];
  readonly name: string;
  deadline: number;
  place: number | null = null;

  constructor(name: string, deadline: number, told: string[] = []) {
    this.name = name;
    this.deadline = deadline;
    this.told = told;
  }

  fail(): void {}

  timeOut(): void {
    this.told.push(this.name);
    this.deadline = Number.POSITIVE_INFINITY;
  }

  drain(): void {}

  clientVanished(): void {}
}

const PAST = 0;
const NEVER = Number.POSITIVE_INFINITY;

describe('the clients of a port', () => {
  const names = (clients: PortClients): string[] => clients.all().map((client) => (client as Client).name);

  test('come and go in any order, each once', () => {
    const clients = new PortClients();
    const all = Array.from({ length: 100 }, (_, i) => new Client(`c${i}`, NEVER));
    for (const client of all) clients.add(client);
    const gone = all.filter((_, i) => i % 3 === 0 || i > 90).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const client of gone) expect(clients.delete(client)).toBe(true);
    for (const client of gone) expect(clients.delete(client)).toBe(false);
    expect(names(clients).sort()).toEqual(
      all
        .filter((client) => !gone.includes(client))
        .map(({ name }) => name)
        .sort(),
    );
    for (const client of all) clients.delete(client);
    expect(clients.size).toBe(0);
  });

  test('are visited some at a time, all that stay', () => {
    const clients = new PortClients();
    const all = Array.from({ length: 25 }, (_, i) => new Client(`c${i}`, NEVER));
    for (const client of all) clients.add(client);
    const visited: string[] = [];
    const visit = (client: PortClient): void => void visited.push((client as Client).name);
    expect(clients.visitSome(0, 10, visit)).toBe(10);
    clients.delete(all[12] as Client);
    expect(clients.visitSome(10, 10, visit)).toBe(20);
    expect(clients.visitSome(20, 10, visit)).toBeNull();
    expect(visited.sort()).toEqual(
      all
        .filter((_, i) => i !== 12)
        .map(({ name }) => name)
        .sort(),
    );
    expect(new PortClients().visitSome(0, 10, visit)).toBeNull();
  });
});

describe('deadlines', () => {
  let deadlines: Deadlines | null = null;
  afterEach(() => deadlines?.stop());

  test('are told once to whose they are, of a crowd a few in each turn, and to nobody else', async () => {
    const clients = new PortClients();
    const told: string[] = [];
    const due = Array.from({ length: 1_500 }, (_, i) => new Client(`due${i}`, PAST, told));
    for (const client of due) {
      clients.add(client);
      clients.add(new Client('not due', NEVER, told));
    }
    let mostInATurn = 0;
    let before = 0;
    let watching = true;
    const watch = (): void => {
      mostInATurn = Math.max(mostInATurn, told.length - before);
      before = told.length;
      if (watching) setImmediate(watch);
    };
    watch();
    deadlines = new Deadlines(clients);
    await eventually('all are told', () => told.length >= due.length);
    watching = false;
    expect(new Set(told)).toEqual(new Set(due.map(({ name }) => name)));
    expect(told).toHaveLength(due.length);
    expect(mostInATurn).toBeLessThanOrEqual(20);
  });

  test('that are put off meanwhile are not told', async () => {
    const clients = new PortClients();
    const told: string[] = [];
    const all = Array.from({ length: 40 }, (_, i) => new Client(`c${i}`, PAST, told));
    for (const client of all) clients.add(client);
    // Those who are told in the first turn put the others off.
    for (const client of all) {
      client.timeOut = () => {
        told.push(client.name);
        for (const other of all) other.deadline = NEVER;
      };
    }
    deadlines = new Deadlines(clients);
    await eventually('one is told', () => told.length > 0);
    const last = new Client('last', PAST, told);
    clients.add(last);
    await eventually('the next round is through', () => told.includes('last'));
    expect(told).toEqual([told[0], 'last']);
  });

  test('of those who come later are found in a later round', async () => {
    const clients = new PortClients();
    const told: string[] = [];
    deadlines = new Deadlines(clients);
    for (const name of ['a', 'b', 'c']) {
      clients.add(new Client(name, PAST, told));
      await eventually(`${name} is told`, () => told.includes(name));
    }
    expect(told).toEqual(['a', 'b', 'c']);
  });
});
