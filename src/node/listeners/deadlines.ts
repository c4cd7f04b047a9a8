import { attempt, guard } from '../../boundary.ts';
import type { PortClient } from '../clients/port-client.ts';
import type { PortClients } from '../clients/port-clients.ts';
import { VanishedClients } from './vanished.ts';

/** How often the deadline of a connection is looked at: its resolution. */
const ROUND_MS = 250;
/** Clients that came one by one are not timed out together: they would come again together. */
const PARTS = 10;
/** Fewer are not worth a part of their own. */
const PART_MIN = 100;
/** Connections that end in one turn of the event loop, so that a crowd does not delay other clients. */
const TIMEOUTS_A_TURN = 10;

/** Looks at a port's clients, in rounds: whose deadline has passed is told, who is paused may have vanished. */
export class Deadlines {
  readonly #clients: PortClients;
  readonly #vanished = new VanishedClients();
  readonly #timer: NodeJS.Timeout;
  readonly #due: PortClient[] = [];
  #paused: PortClient[] = [];
  #part = 0;
  /** Where the round continues; null: it is complete. */
  #place: number | null = 0;

  constructor(clients: PortClients) {
    this.#clients = clients;
    // After what has arrived by now was read: no connection ends as idle whose next request is there already.
    const look = guard('timer', () => this.#look());
    this.#timer = setInterval(() => setImmediate(look), ROUND_MS / PARTS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    // A crowd is still being ended: the round waits, so that no connection is noted twice.
    if (this.#due.length > 0) return;
    if (this.#part === 0) this.#place = 0;
    this.#part = (this.#part + 1) % PARTS;
    if (this.#place === null) return;
    const now = performance.now();
    const count = this.#part === 0 ? this.#clients.size : Math.max(PART_MIN, Math.ceil(this.#clients.size / PARTS));
    this.#place = this.#clients.visitSome(this.#place, count, (client) => {
      if (client.deadline <= now) this.#due.push(client);
      else if (client.paused) this.#paused.push(client);
    });
    this.#timeOut();
    if (this.#place === null && this.#paused.length > 0) {
      this.#vanished.look(this.#paused);
      this.#paused = [];
    }
  }

  readonly #timeOut = guard('timer', (): void => {
    const now = performance.now();
    for (const client of this.#due.splice(0, TIMEOUTS_A_TURN)) if (client.deadline <= now) attempt(client, () => client.timeOut(now));
    if (this.#due.length > 0) setImmediate(this.#timeOut);
  });
}
