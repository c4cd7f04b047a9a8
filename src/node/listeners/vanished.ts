import { readFile } from 'node:fs/promises';
import { isIPv6, type Socket } from 'node:net';
import { attempt, type FailureDomain, unawaited } from '../../boundary.ts';
import { ipv4Word, ipv6Words } from '../../config/ip-words.ts';

/** The kernel's states of a connection in /proc/net/tcp (include/net/tcp_states.h). */
const ESTABLISHED = '01';
const CLOSE_WAIT = '08';
/** Looks may take this share of the time at most: the table is long where connections are many. */
const SHARE_MAX = 0.1;
/** Looked at in one turn of the event loop: a long table must not make everybody wait. */
const LINES_A_TURN = 500;

interface PausedClient extends FailureDomain {
  readonly socket: Socket;
  readonly paused: boolean;
  /** `ended`: it has sent FIN. Otherwise its connection does not exist any more. */
  clientVanished(ended: boolean): void;
}

/**
 * Finds clients that went away while their sockets were not read. Node (libuv) does not poll a paused socket at all, so it
 * reports neither FIN nor RST. The kernel's table of connections tells, without reading a byte. Linux only; elsewhere
 * such a client is noticed when its socket is read or written again.
 */
export class VanishedClients {
  #looking = false;
  #notBefore = 0;

  /** Asks the kernel about these; calls `clientVanished` on those that are gone. At most one look at a time. */
  look(clients: readonly PausedClient[]): void {
    const began = performance.now();
    if (this.#looking || process.platform !== 'linux' || began < this.#notBefore) return;
    this.#looking = true;
    // Without /proc (a restricted container) only the hold deadline remains.
    const done = this.#check(clients).catch(() => {});
    const rested = done.then(() => {
      this.#looking = false;
      const now = performance.now();
      this.#notBefore = now + (now - began) * (1 / SHARE_MAX - 1);
    });
    unawaited('timer', rested);
  }

  async #check(clients: readonly PausedClient[]): Promise<void> {
    const asked = new Map<string, PausedClient>();
    for (const client of clients) {
      const key = tableKey(client.socket);
      if (key !== null) asked.set(key, client);
      // A socket without ends has lost them to a reset.
      else if (client.paused) attempt(client, () => client.clientVanished(false));
    }
    const states = await statesOf(asked);
    for (const [key, client] of asked) {
      const state = states.get(key);
      if (state === undefined) continue;
      asked.delete(key);
      if (client.paused && state !== ESTABLISHED) attempt(client, () => client.clientVanished(state === CLOSE_WAIT));
    }
    if (asked.size === 0) return;
    // The kernel does not show its table in one piece, and may leave out what was there all the time: who is missing is looked for again.
    const again = await statesOf(asked);
    for (const [key, client] of asked) if (!again.has(key) && client.paused) attempt(client, () => client.clientVanished(false));
  }
}

/** The kernel's states of these connections, by `tableKey`. */
async function statesOf(asked: ReadonlyMap<string, unknown>): Promise<Map<string, string>> {
  const states = new Map<string, string>();
  for (const [file, length] of [
    ['/proc/net/tcp', V4_KEY_CHARS],
    ['/proc/net/tcp6', V6_KEY_CHARS],
  ] as const) {
    if (![...asked.keys()].some((key) => key.length === length)) continue;
    const table = await readFile(file, 'latin1');
    // `  12: 0100007F:1F90 0100007F:C5A2 01 ...`, the local end first.
    let lines = 0;
    for (let line = table.indexOf('\n') + 1; line > 0; line = table.indexOf('\n', line) + 1) {
      if (++lines % LINES_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      const start = table.indexOf(': ', line) + 2;
      const key = table.slice(start, start + length);
      if (asked.has(key)) states.set(key, table.slice(start + length + 1, start + length + 3));
    }
  }
  return states;
}

const V4_KEY_CHARS = '0100007F:1F90 0100007F:C5A2'.length;
const V6_KEY_CHARS = V4_KEY_CHARS + 2 * (32 - 8);

/** Both ends of a connection as the kernel's table writes them; null when the socket has none any more. */
function tableKey({ localAddress, localPort, remoteAddress, remotePort }: Socket): string | null {
  if (localAddress === undefined || localPort === undefined || remoteAddress === undefined || remotePort === undefined) return null;
  return `${tableAddress(localAddress)}:${hex(localPort, 4)} ${tableAddress(remoteAddress)}:${hex(remotePort, 4)}`;
}

/** Each 32-bit word is written as the number that this machine reads in it: little-endian on all that Node runs on but s390x. */
export function tableAddress(address: string): string {
  const words = isIPv6(address) ? ipv6Words(address) : [ipv4Word(address)];
  return words.map((word) => hex(littleEndian ? swapped(word) : word, 8)).join('');
}

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function swapped(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

function hex(value: number, chars: number): string {
  return (value >>> 0).toString(16).toUpperCase().padStart(chars, '0');
}
