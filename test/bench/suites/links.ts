import { once } from 'node:events';
import { connect } from 'node:net';
import { dialLink } from '../../../src/link/handshake.ts';
import { LinkerLink, type LinkerLinkEvents } from '../../../src/link/linker-link.ts';
import { freePort } from '../../../src/linker/free-port.ts';
import { rss } from '../children.ts';
import { Inspector } from '../inspector.ts';
import { leastSquares } from '../slope.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Suite } from './suite.ts';

const COUNTS = [500, 1_000, 2_000, 3_000, 4_000];
/** Links that begin at the same time: a node bounds those that have not proved themselves yet. */
const PARALLEL = 50;
const SETTLE_MS = 2_000;
const SLOTS = 10;
const READY = { home: true, state: 'ready', active: 0 } as const;
const nothing = (): void => {};
const IDLE: LinkerLinkEvents = {
  opened: nothing,
  done: nothing,
  returned: nothing,
  moveWanted: nothing,
  newest: nothing,
  retireAnswer: nothing,
  goAway: nothing,
  down: nothing,
};

/** By how much a node grows for each link on which nothing happens: all of one application, and each of another one. */
export const links: Suite = async (surroundings, _extent, found) => {
  const range = `from ${COUNTS[0]} to ${COUNTS.at(-1)} of them`;
  for (const [what, routeOf] of [
    ['one application', () => 'app.test'],
    ['as many applications', (i: number) => `app-${i}.test`],
  ] as const) {
    const { resident, heap } = await memoryOfLinks(surroundings, routeOf);
    const say = (name: string, value: number): void => found({ suite: 'links', name: `${name}, ${what}, ${range}`, value, unit: 'bytes' });
    say('resident memory of an idle link', resident.slope);
    say('its standard error', resident.error);
    say('of it in the heap of objects', heap.slope);
  }
};

async function memoryOfLinks(surroundings: Surroundings, routeOf: (i: number) => string) {
  const port = await freePort();
  const { pid, backend } = await surroundings.startNode({ flags: [`--inspect=127.0.0.1:${port}`] });
  const inspector = await Inspector.open(port);
  const opened: LinkerLink[] = [];
  const resident: [number, number][] = [];
  const heap: [number, number][] = [];
  for (const count of COUNTS) {
    while (opened.length < count) {
      const first = opened.length;
      const more = Array.from({ length: Math.min(PARALLEL, count - first) }, (_, i) => openLink(backend, first + i, routeOf(first + i)));
      opened.push(...(await Promise.all(more)));
    }
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const down = opened.filter(({ link }) => !link.isUp).length;
    if (down > 0) throw new Error(`${down} of ${count} links broke`);
    heap.push([count, (await inspector.memoryAfterCollection()).heapUsed]);
    resident.push([count, rss(pid)]);
  }
  inspector.close();
  for (const { link } of opened) link.close('measured');
  return { resident: leastSquares(resident), heap: leastSquares(heap) };
}

/** A linker that lends its slots and wants nothing. */
async function openLink(backend: string, number: number, route: string): Promise<LinkerLink> {
  const [host, port] = backend.split(':');
  const socket = connect({ host, port: Number(port) });
  await once(socket, 'connect');
  return new Promise((resolve, reject) =>
    dialLink(socket, {
      hello: { route, instance: `i${number}`, seq: number + 1, concurrency: SLOTS },
      secret: '',
      failed: (reason) => reject(new Error(reason)),
      ready: (link) => {
        const opened = new LinkerLink(link, IDLE);
        opened.grant(SLOTS);
        opened.report(READY);
        resolve(opened);
      },
    }),
  );
}
