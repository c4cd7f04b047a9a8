/** Linkers that know the evil tenant's secret, or none, and say what they like. */
import { connect } from 'node:net';
import { linkBudget } from '../../../../src/link/frame-budget.ts';
import { Frame } from '../../../../src/link/frames.ts';
import { dialLink, type Hello } from '../../../../src/link/handshake.ts';
import type { Link } from '../../../../src/link/link.ts';
import type { Stream } from '../../../../src/link/stream.ts';
import { ChurnMap } from '../../../../src/memory/churn-map.ts';
import { linkFrame, parseLinkScript } from '../../../fuzz/link-script.ts';
import { HANDSHAKE } from '../../../fuzz/targets/link.ts';
import { NODE_LINK_END } from '../../../fuzz/targets/link-ends.ts';
import { EVIL_SECRET, Tenant } from '../place.ts';
import { type Besieger, type Field, inputOf, pause, say } from './besieger.ts';

const PATIENCE_MS = 3_000;
const FLOOD_FRAMES = 2_000;

export function linkers({ ports, random }: Field): Besieger[] {
  const backend = (): number => random.pick(ports.backend);
  const dialled = async (over: Partial<Hello>, secret: string): Promise<Link | null> => {
    const instance = `evil${Math.floor(random.next() * 50)}`;
    const hello = { route: Tenant.EVIL, instance, seq: Date.now(), concurrency: 3, ...over };
    return dial(backend(), hello, secret);
  };
  return [
    {
      name: 'frames of a link in any order',
      perSecond: 4,
      atOnceMax: 10,
      strike: async () => {
        const link = await dialled({}, EVIL_SECRET);
        if (link === null) return;
        for (const step of parseLinkScript(
          Buffer.from(inputOf(NODE_LINK_END, random).toString('latin1').replaceAll('TRAP', '127.0.0.1:1'), 'latin1'),
        )) {
          if (step.kind === 'said') for (let i = 0; i < step.times && link.socket.writable; i++) link.socket.write(step.bytes);
          else await pause(20);
        }
        await pause(500);
        link.close('over');
      },
    },
    {
      name: 'floods of frames',
      perSecond: 0.5,
      atOnceMax: 2,
      strike: async () => {
        const link = await dialled({}, EVIL_SECRET);
        if (link === null) return;
        const type = random.pick([
          Frame.RETIRE,
          Frame.START,
          Frame.PING,
          Frame.RECALL,
          Frame.MOVE_FAILED,
          Frame.STATE,
          Frame.WINDOW,
          Frame.CONNECTED,
        ]);
        const payload =
          type === Frame.STATE
            ? Buffer.from('{"home":true,"state":"ready","active":0}')
            : Buffer.from([0, 0, 0, 1, 97]).subarray(0, type === Frame.MOVE_FAILED ? 5 : 4);
        link.socket.write(Buffer.concat(Array.from({ length: FLOOD_FRAMES }, () => linkFrame(type, 0, 0, payload))));
        await pause(1_000);
        link.close('over');
      },
    },
    {
      name: "other instances' names",
      perSecond: 1,
      atOnceMax: 3,
      strike: async () => {
        const foreign = await instanceOf(random.pick(ports.admin), Tenant.WEB);
        const link = foreign === null ? null : await dialled({ instance: foreign }, EVIL_SECRET);
        await pause(500);
        link?.close('over');
      },
    },
    {
      name: 'routes of others',
      perSecond: 2,
      atOnceMax: 5,
      strike: async () => {
        const route = random.pick([Tenant.WEB, Tenant.COLD, '*', '*.test', '--privileged.evil.test', 'a..*.test', '', 'x'.repeat(3_000)]);
        (await dialled({ route }, EVIL_SECRET))?.close('over');
      },
    },
    {
      name: 'wrong secrets',
      perSecond: 4,
      atOnceMax: 10,
      strike: async () => (await dialled({ route: random.pick([Tenant.WEB, Tenant.EVIL]) }, 'a guess'))?.close('over'),
    },
    {
      name: 'handshakes of any kind',
      perSecond: 5,
      atOnceMax: 30,
      strike: () => say(backend(), inputOf(HANDSHAKE, random), PATIENCE_MS),
    },
    {
      name: 'slots that serve nobody',
      perSecond: 1,
      atOnceMax: 3,
      strike: async () => {
        const link = await dialled({}, EVIL_SECRET);
        link?.socket.write(linkFrame(Frame.GRANT, 0, 0, Buffer.from([0, 0, 0, 3])));
        await pause(2_000);
        link?.socket.resetAndDestroy();
      },
    },
  ];
}

/** Null: refused. */
function dial(port: number, hello: Hello, secret: string): Promise<Link | null> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  return new Promise((resolve) => {
    socket.once('close', () => resolve(null));
    dialLink(socket, {
      hello,
      secret,
      failed: () => resolve(null),
      ready: (link) => {
        link.begin({ streams: new ChurnMap<number, Stream>(), budget: linkBudget(0), receive: () => 'borrowed', down: () => {} });
        resolve(link);
      },
    });
  });
}

/** An instance of another tenant, as anybody may read it. */
async function instanceOf(admin: number, route: string): Promise<string | null> {
  const response = await fetch(`http://127.0.0.1:${admin}/api/v1/state`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  const { routes = [] } = (await response.json()) as { routes?: { name: string; instances: { id: string }[] }[] };
  return routes.find(({ name }) => name === route)?.instances[0]?.id ?? null;
}
