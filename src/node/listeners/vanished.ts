import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

/** The kernel's state of an open connection in /proc/net/tcp; everything else means that the peer has closed or is gone. */
const ESTABLISHED = '01';

interface PausedClient {
  readonly socket: Socket;
  readonly paused: boolean;
  clientVanished(): void;
}

/**
 * Finds clients that went away while their sockets were not read. Node (libuv) does not poll a paused socket at all, so it
 * reports neither FIN nor RST. The kernel's table of connections tells, without reading a byte. Linux only; elsewhere
 * such a client is noticed when its socket is read or written again.
 */
export class VanishedClients {
  #looking = false;

  /** Asks the kernel about these; calls `clientVanished` on those that are gone. At most one look at a time. */
  look(clients: readonly PausedClient[]): void {
    if (this.#looking || process.platform !== 'linux') return;
    this.#looking = true;
    // A socket that was paused after the table was read must not be judged by it: only those that are paused now are.
    void this.#check(clients).finally(() => {
      this.#looking = false;
    });
  }

  async #check(clients: readonly PausedClient[]): Promise<void> {
    let alive: Set<string>;
    try {
      alive = await establishedConnections();
    } catch {
      // No /proc here (a restricted container): the hold deadline remains.
      return;
    }
    for (const client of clients) {
      const { localPort, remotePort } = client.socket;
      if (!client.paused || localPort === undefined || remotePort === undefined) continue;
      if (!alive.has(`${localPort}:${remotePort}`)) client.clientVanished();
    }
  }
}

/** `local port:remote port` of every established TCP connection of this network namespace. */
async function establishedConnections(): Promise<Set<string>> {
  const alive = new Set<string>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const table = await readFile(file, 'latin1').catch((error: NodeJS.ErrnoException) => {
      // IPv6 may be off; the IPv4 table is always there.
      if (file.endsWith('6') && error.code === 'ENOENT') return '';
      throw error;
    });
    const row = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]{2})/gm;
    for (let match = row.exec(table); match !== null; match = row.exec(table)) {
      if (match[3] !== ESTABLISHED) continue;
      alive.add(`${Number.parseInt(match[1] as string, 16)}:${Number.parseInt(match[2] as string, 16)}`);
    }
  }
  return alive;
}
