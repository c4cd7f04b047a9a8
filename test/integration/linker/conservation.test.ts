/**
 * Whatever nodes, links and the application do: no slot is lost, none is lent twice, and the application never sees more
 * connections than there are slots. A failing seed is in the name of its test.
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, ResetCode } from '../../../src/link/frames.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, type FakeInstance, FakeNode, type FakeVisit } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { type AppPeer, closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const CONCURRENCY = 4;
const NODES = 3;
/** So many streams are opened, however often there is nobody to open them. */
const VISITS = 500;
const CHAOS_MS_MAX = 7_000;
const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n';
const FLAGS = [Flag.NONE, Flag.NONE, Flag.FRESH, Flag.CAREFUL];

type Random = () => number;

/** mulberry32 */
function randomOf(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Chaos {
  readonly #random: Random;
  readonly app: TcpApp;
  readonly nodes: FakeNode[];
  readonly running: RunningLinker;
  readonly #ports: number[];
  #visits: FakeVisit[] = [];
  #nextNode = NODES;
  opened = 0;
  /** The worst that was seen. */
  lentMax = 0;

  private constructor(random: Random, app: TcpApp, nodes: FakeNode[]) {
    this.#random = random;
    this.app = app;
    this.nodes = nodes;
    this.#ports = nodes.map(({ address }) => address.port);
    this.running = new RunningLinker({
      proxies: nodes.map(({ address }) => address),
      app: app.address,
      concurrency: CONCURRENCY,
      idleLinkTimeoutMs: 300,
    });
  }

  static async begin(seed: number): Promise<Chaos> {
    const random = randomOf(seed);
    const app = await TcpApp.start((peer) => beRandom(peer, random));
    const nodes = await Promise.all(Array.from({ length: NODES }, (_, i) => FakeNode.start({ id: `n${i}` })));
    return new Chaos(random, app, nodes);
  }

  async run(): Promise<void> {
    await this.running.linker.ready;
    const deadline = performance.now() + CHAOS_MS_MAX;
    while (this.opened < VISITS && performance.now() < deadline) {
      // Nothing is left to be broken while no node is linked.
      if (this.living.length === 0) await sleep(1);
      else await this.#step();
      this.lentMax = Math.max(this.lentMax, this.lent);
      if (this.#random() < 0.5) await turn();
      if (this.#random() < 0.02) await sleep(1);
    }
  }

  /** Every visit ends in some way. */
  async calm(): Promise<void> {
    await eventually('every visit is over', () => {
      for (const visit of this.#visits) this.#finish(visit);
      this.#forgetOver();
      return this.#visits.length === 0;
    });
  }

  get living(): FakeInstance[] {
    return this.nodes.flatMap(({ living }) => living);
  }

  /** Slots that nodes believe to have. */
  get lent(): number {
    return this.living.reduce((sum, { link }) => sum + link.idle + link.active, 0);
  }

  async #step(): Promise<void> {
    const what = this.#random();
    const instance = this.#pick(this.living);
    if (what < 0.5) this.#open(instance);
    else if (what < 0.8) this.#finish(this.#pick(this.#visits));
    else if (what < 0.9 && instance !== undefined && instance.link.idle > 0) this.#move(instance);
    else if (what < 0.95) this.#break(this.#pick(this.app.peers));
    else if (what < 0.9505 && instance !== undefined) instance.link.goAway();
    else if (what < 0.9512 && instance !== undefined) instance.link.link.close('broken by the test');
    else if (what < 0.952) await this.#restart(Math.floor(this.#random() * NODES));
    else if (what < 0.953) await this.#refuse();
    this.#forgetOver();
  }

  #open(instance: FakeInstance | undefined): void {
    if (instance === undefined || instance.link.idle === 0) return;
    this.opened++;
    this.#visits.push(instance.open(this.#random() < 0.8 ? GET : '', this.#pick(FLAGS)));
  }

  #move({ link }: FakeInstance): void {
    const count = 1 + Math.floor(this.#random() * link.idle);
    link.move(count, this.#random() < 0.2 ? '127.0.0.1:1' : `127.0.0.1:${this.#pick(this.#ports)}`);
  }

  #finish(visit: FakeVisit | undefined): void {
    if (visit === undefined || visit.reset !== null) return;
    const how = this.#random();
    if (how < 0.8 && visit.isAnswered) visit.keep();
    else if (how < 0.5) return;
    else if (how < 0.7) visit.close();
    else if (how < 0.9) visit.cancel(ResetCode.CANCEL);
    else visit.stream.end();
  }

  #break(peer: AppPeer | undefined): void {
    if (peer === undefined || peer.closed) return;
    const how = this.#random();
    if (how < 0.3) peer.socket.end();
    else if (how < 0.6) peer.breakOff();
    else if (!peer.socket.writableEnded) peer.socket.write('nobody asked');
  }

  async #restart(index: number): Promise<void> {
    this.nodes[index]?.close();
    this.nodes[index] = await FakeNode.start({ id: `n${this.#nextNode++}`, port: this.#ports[index] });
  }

  /** The application accepts nobody for a moment. */
  async #refuse(): Promise<void> {
    this.app.stopListening();
    this.#open(this.#pick(this.living));
    await sleep(this.#random() * 10);
    await this.app.listen();
  }

  #forgetOver(): void {
    this.#visits = this.#visits.filter(({ stream, reset }) => reset === null && stream.state !== 'closed' && stream.state !== 'abandoned');
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.#random() * items.length)];
  }
}

/** Answers, or does not, or breaks off; sees the end of a connection at once, or later. */
function beRandom(peer: AppPeer, random: Random): void {
  peer.socket.on('data', () => {
    const how = random();
    if (how < 0.7) peer.answer();
    else if (how < 0.8) peer.socket.end('HTTP/1.0 200 OK\r\n\r\n');
    else if (how < 0.85) peer.breakOff();
  });
  peer.socket.on('end', () => {
    if (random() < 0.5) peer.socket.end();
    else setTimeout(() => peer.socket.end(), random() * 10);
  });
}

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
});

describe('slots are conserved', () => {
  test.each([1, 2, 3, 4, 5, Date.now() % 1_000_000])('seed %i', async (seed) => {
    const chaos = await Chaos.begin(seed);
    await chaos.run();
    expect(chaos.lentMax).toBeLessThanOrEqual(CONCURRENCY);
    expect(chaos.app.engagedMax).toBeLessThanOrEqual(CONCURRENCY);
    await chaos.calm();
    await eventually(
      `all slots are lent again: ${CONCURRENCY}`,
      () => chaos.lent === CONCURRENCY && chaos.living.every(({ link }) => link.active === 0),
    );
    expect(chaos.app.engagedMax).toBe(CONCURRENCY);
    // A test in which little happens proves little.
    expect(chaos.opened).toBeGreaterThan(VISITS / 5);
    expect(chaos.running.code).toBeNull();
    chaos.running.linker.drain();
    expect(await chaos.running.exit).toBe(0);
    await eventually('the application has no connection', () => chaos.app.open === 0);
  });
});
