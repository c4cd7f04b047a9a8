import { afterEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Flag, ResetCode } from '../../../src/link/frames.ts';
import type { Stream } from '../../../src/link/stream.ts';
import { HELLO, type LinkerEnd, linkPair, type NodeEnd, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, type SocketPair, until } from '../../support/harness/link-wire.ts';

const SLOTS = HELLO.concurrency;
const NODES = 2;
const RUNS = 40;

/** One link of the instance, with both ends of every stream on it. */
interface Ends {
  readonly node: NodeEnd;
  readonly linker: LinkerEnd;
  readonly sockets: SocketPair;
  /** Streams that the node has not ended. */
  readonly used: { readonly stream: Stream; readonly handler: Recorder }[];
  /** Streams whose application connection is still open. */
  readonly served: Set<Stream>;
  /** Those among them that occupy no slot at the linker. */
  readonly parkedThere: Set<Stream>;
  /** Streams that the node has parked. */
  readonly parkedHere: { readonly stream: Stream; readonly handler: Recorder }[];
  /** As the linker counts them by its events; it must agree with what the link says. */
  lent: number;
}

/** An instance that lends its slots to two nodes: where each slot is, by what the linker was told. */
class World {
  home = SLOTS;
  readonly ends: Ends[] = [];

  async link(at: number): Promise<void> {
    let ends: Ends | null = null;
    const back = (count: number): void => {
      if (ends !== null) ends.lent -= count;
      this.home += count;
    };
    const serve = (stream: Stream): void => {
      const handler = new Recorder();
      handler.onReset = (code) => {
        // The application connection is closed some time later, by the step 'close'; without a link there is no later.
        if (code !== ResetCode.LINK_LOST) return;
        ends?.served.delete(stream);
        ends?.parkedThere.delete(stream);
      };
      stream.handler = handler;
      ends?.served.add(stream);
    };
    const pair = await linkPair({
      linker: {
        opened: serve,
        done: (stream, how) => void (how !== 'close' && ends?.served.delete(stream)),
        parked: (stream) => void (ends?.served.delete(stream) && ends.parkedThere.add(stream)),
        unparked: (stream) => void (ends?.parkedThere.delete(stream) && ends.served.add(stream)),
        returned: back,
        moveWanted: (count, address) => {
          back(count);
          const to = this.ends[Number(address.split(':')[1])];
          if (to?.linker.link.link.isUp) this.grant(to, count);
          else if (ends !== null) {
            ends.linker.link.moveFailed(count, address);
            this.grant(ends, count);
          }
        },
        down: () => back(ends?.lent ?? 0),
      },
    });
    ends = { ...pair, used: [], served: new Set(), parkedThere: new Set(), parkedHere: [], lent: 0 };
    this.ends[at] = ends;
  }

  grant(to: Ends, count: number): void {
    const granted = Math.min(count, this.home);
    this.home -= granted;
    to.lent += granted;
    to.linker.link.grant(granted);
  }

  /** Breaks a link with whatever is under way on it, and links again. */
  async lose(at: number): Promise<void> {
    const { node, linker, sockets, parkedHere } = this.ends[at] as Ends;
    const used = [...(this.ends[at] as Ends).used, ...parkedHere];
    const before = used.map(({ handler }) => handler.resets.length);
    sockets.accepted.resetAndDestroy();
    await until(() => !node.link.link.isUp && !linker.link.link.isUp);
    for (const [index, { handler }] of used.entries()) {
      // Those that had ended before heard of it then, the others now, all of them once.
      expect(handler.resets).toHaveLength(1);
      if (before[index] === 0 && handler.resets[0]?.code !== ResetCode.LINK_LOST)
        expect(handler.resets[0]?.code).toBe(ResetCode.APP_CLOSED);
    }
    expect([node.link.idle, node.link.active, linker.link.lent, linker.link.inUse, linker.link.streams.size]).toEqual([0, 0, 0, 0, 0]);
    await this.link(at);
  }

  /** What holds at any moment, with frames under way. */
  check(): void {
    let lent = 0;
    for (const ends of this.ends) {
      const { node, linker, served } = ends;
      expect([node.link.link.downReason, linker.link.link.downReason]).toEqual([null, null]);
      expect(linker.link.lent).toBe(ends.lent);
      expect(linker.link.inUse).toBeLessThanOrEqual(linker.link.lent);
      expect([...served].reduce((sum, { cost }) => sum + cost, 0)).toBeLessThanOrEqual(linker.link.lent);
      expect(node.link.idle + node.link.active).toBeLessThanOrEqual(linker.link.lent);
      expect(node.link.idle).toBeGreaterThanOrEqual(0);
      lent += ends.lent;
    }
    expect(this.home + lent).toBe(SLOTS);
  }

  /** What holds when everything that was said has been heard. */
  async quiet(): Promise<void> {
    // A word and its answer push everything before them through; what that brings about, such as a move, takes some more.
    for (let round = 0; round < 4; round++) {
      const heard = this.ends.map(({ node, linker }) => {
        const [atLinker, atNode] = [linker.said.length, node.said.length];
        node.link.newest(true);
        linker.link.report({ home: true, state: 'ready', active: 0 });
        return () => linker.said.length > atLinker && node.said.slice(atNode).some((words) => words.startsWith('report'));
      });
      await until(() => heard.every((both) => both()), 'everything was heard');
    }
    this.check();
    for (const { node, linker, served, parkedThere } of this.ends) {
      expect(node.link.idle + node.link.active).toBe(linker.link.lent);
      expect(node.link.active).toBe(linker.link.inUse);
      expect(node.link.streams.size).toBe(linker.link.streams.size);
      expect([...served, ...parkedThere].map(({ id }) => id).sort()).toEqual([...node.link.streams.values()].map(({ id }) => id).sort());
    }
  }
}

type Act = (world: World, ends: Ends, pick: number, at: number) => void | Promise<void>;

class Step implements fc.AsyncCommand<object, World> {
  readonly #name: string;
  readonly #act: Act;
  readonly #pick: number;

  constructor(name: string, act: Act, pick: number) {
    this.#name = name;
    this.#act = act;
    this.#pick = pick;
  }

  check(): boolean {
    return true;
  }

  async run(_model: object, world: World): Promise<void> {
    const at = this.#pick % NODES;
    await this.#act(world, world.ends[at] as Ends, Math.floor(this.#pick / NODES), at);
    world.check();
  }

  toString(): string {
    return `${this.#name}(node ${this.#pick % NODES}, ${Math.floor(this.#pick / NODES)})`;
  }
}

/** Takes one of the node's streams, ended by the linker or not: a node may be a moment late. */
function takeUsed({ used }: Ends, pick: number): Stream | null {
  const [taken] = used.splice(pick % Math.max(1, used.length), 1);
  return taken?.stream ?? null;
}

function ending(how: 'doneAndKeep' | 'doneAndClose' | 'reset'): Act {
  return (_world, ends, pick) => {
    const stream = takeUsed(ends, pick);
    if (stream !== null) ends.node.link[how](stream, ResetCode.CANCEL);
  };
}

const ACTS: Record<string, Act> = {
  grant: (world, ends, pick) => world.grant(ends, 1 + (pick % 3)),
  recall: (_world, { linker }, pick) => linker.link.recall(1 + (pick % 4)),
  giveBack: (_world, { node }, pick) => node.link.giveBack(1 + (pick % 3)),
  move: (_world, { node }, pick, at) => {
    // To the other node, or to one that can't be reached.
    if (node.link.idle > 0) node.link.move(1 + (pick % node.link.idle), `node:${pick % 3 === 0 ? 9 : 1 - at}`);
  },
  open: (_world, { node, used }, pick) => {
    if (node.link.idle === 0) return;
    const handler = new Recorder();
    const cost = 1 + (pick % Math.min(3, node.link.idle));
    used.push({ handler, stream: node.link.open(handler, Flag.NONE, Buffer.from('first bytes'), '', false, cost) });
  },
  keep: ending('doneAndKeep'),
  close: ending('doneAndClose'),
  reset: ending('reset'),
  park: (_world, { node, used, parkedHere }, pick) => {
    const at = pick % Math.max(1, used.length);
    const one = used[at];
    // Nothing may be on its way on a stream that is parked: the node has seen the whole answer.
    if (one === undefined || !node.link.park(one.stream)) return;
    used.splice(at, 1);
    parkedHere.push(one);
  },
  unpark: (_world, { node, used, parkedHere }, pick) => {
    if (node.link.idle === 0) return;
    const [one] = parkedHere.splice(pick % Math.max(1, parkedHere.length), 1);
    // The linker may have ended it.
    if (one === undefined || !one.stream.parked || one.handler.resets.length > 0) return;
    node.link.unpark(one.stream, false, 1 + (pick % Math.min(3, node.link.idle)));
    used.push(one);
  },
  resetParked: (_world, { node, parkedHere }, pick) => {
    const [one] = parkedHere.splice(pick % Math.max(1, parkedHere.length), 1);
    if (one !== undefined) node.link.reset(one.stream, ResetCode.CANCEL);
  },
  /** The application closes a connection: because it was told to, or of its own accord. */
  applicationCloses: (_world, { linker, served, parkedThere }, pick) => {
    const stream = [...served, ...parkedThere][pick % Math.max(1, served.size + parkedThere.size)];
    if (stream === undefined) return;
    served.delete(stream);
    parkedThere.delete(stream);
    linker.link.free(stream, ResetCode.APP_CLOSED, true, false);
  },
  /** The linker gives a stream up by itself; its application connection takes a while to close. */
  linkerGivesUp: (_world, { served, parkedThere }, pick) => {
    const stream = [...served, ...parkedThere][pick % Math.max(1, served.size + parkedThere.size)];
    if (stream === undefined) return;
    const { handler } = stream;
    stream.abandon();
    stream.handler = handler;
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  quiet: (world) => world.quiet(),
  lose: (world, _ends, _pick, at) => world.lose(at),
};

const OFTEN: Record<string, number> = { grant: 3, open: 8, keep: 3, applicationCloses: 5, turn: 6, lose: 0.3 };

afterEach(destroySockets);

test('every slot is in one place, whatever two nodes and their linker do at the same time', async () => {
  const steps = Object.entries(ACTS).flatMap(([name, act]) => {
    const step = fc.nat(999).map((pick) => new Step(name, act, pick));
    return Array.from({ length: Math.ceil((OFTEN[name] ?? 1) * 2) }, () => step);
  });
  await fc.assert(
    fc.asyncProperty(fc.commands(steps, { maxCommands: 150, size: 'max' }), async (commands) => {
      const world = new World();
      for (let at = 0; at < NODES; at++) await world.link(at);
      await fc.asyncModelRun(() => ({ model: {}, real: world }), commands);
      await world.quiet();
      // When all streams end and all is recalled, everything is at home again.
      for (const ends of world.ends) {
        ends.linker.link.recall(SLOTS);
        for (const stream of [...ends.served]) ends.linker.link.free(stream, ResetCode.CLOSED, true, false);
        ends.served.clear();
      }
      await world.quiet();
      expect(world.home).toBe(SLOTS);
      destroySockets();
    }),
    { numRuns: RUNS, interruptAfterTimeLimit: 5_000 },
  );
});
