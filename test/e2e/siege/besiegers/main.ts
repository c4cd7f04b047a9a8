/** The besiegers' own process: their work is not the honest clients' wait. Told where the cluster is by its first message. */
import { once } from 'node:events';
import { Random } from '../../chaos/random.ts';
import type { Ports } from '../place.ts';
import { applications } from './applications.ts';
import type { Besieger } from './besieger.ts';
import { clients } from './clients.ts';
import { linkers } from './linkers.ts';
import { redisWriters } from './redis-writers.ts';

const TICK_MS = 50;

export interface Orders {
  readonly ports: Ports;
  readonly seed: number;
  /** The share of the strikes in a second that each is good for. */
  readonly share: number;
  /** Names of those who strike; absent: all. */
  readonly only?: readonly string[] | undefined;
}

/** What hurts the besiegers themselves is none of the cluster's faults. */
process.on('uncaughtException', () => {});
process.on('unhandledRejection', () => {});
process.once('disconnect', () => process.exit());

const [orders] = (await once(process, 'message')) as [Orders];
const field = { ports: orders.ports, random: new Random(orders.seed) };
await applications(field);
process.send?.({ ready: true });
/** In a truce nobody strikes. */
let isOn = false;
process.on('message', ({ go }: { go?: boolean }) => {
  isOn = go === true;
});
const strikes = new Map<string, number>();
for (const besieger of [...clients(field), ...linkers(field), ...redisWriters(field)]) {
  if (orders.only?.includes(besieger.name) ?? true) besiege(besieger, orders.share);
}
setInterval(() => process.send?.({ strikes: Object.fromEntries(strikes) }), 1_000);

function besiege({ name, perSecond, atOnceMax, strike }: Besieger, share: number): void {
  let due = 0;
  let underWay = 0;
  setInterval(() => {
    if (!isOn) return;
    for (due = Math.min(atOnceMax, due + (perSecond * share * TICK_MS) / 1_000); due >= 1 && underWay < atOnceMax; due--) {
      underWay++;
      strikes.set(name, (strikes.get(name) ?? 0) + 1);
      strike()
        .catch(() => undefined)
        .finally(() => {
          underWay--;
        });
    }
  }, TICK_MS);
}
