/** Clients that come at a rate, whatever becomes of those before: each has a connection of its own, and one that was served may ask again. */
import { connect, type Socket } from 'node:net';

const TICK_MS = 2;
/** Beyond this many that wait, clients are counted as lost: the trial is too long for its rate. */
const CLIENTS_MAX = 9_000;
const LF = 0x0a;
const CR = 0x0d;

export class OpenLoop {
  /** How the responses begin that the application did not give. */
  readonly refused: string[] = [];
  readonly #port: number;
  readonly #request: Buffer;
  readonly #idle: Socket[] = [];
  readonly #sockets = new Set<Socket>();
  #isOver = false;

  constructor(address: string, host: string) {
    this.#port = Number(address.split(':').at(-1));
    this.#request = Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  }

  /** So many a second, for so long. */
  async come(perSecond: number, seconds: number): Promise<void> {
    const from = performance.now();
    const until = from + seconds * 1_000;
    let sent = 0;
    for (let now = from; now < until; now = performance.now()) {
      for (const due = ((now - from) * perSecond) / 1_000; sent < due; sent++) this.#ask();
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  /** All clients leave, those who wait as well. */
  end(): void {
    this.#isOver = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #ask(): void {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      idle.write(this.#request);
      return;
    }
    if (this.#sockets.size >= CLIENTS_MAX) throw new Error(`${CLIENTS_MAX} clients wait: the trial is too long for its rate`);
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    this.#sockets.add(socket);
    socket.on('error', (error) => this.#isOver || this.refused.push(error.message));
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => this.#answered(socket, chunk));
    socket.write(this.#request);
  }

  #answered(socket: Socket, chunk: Buffer): void {
    const status = chunk.toString('latin1', 0, 12);
    if (status !== 'HTTP/1.1 200') {
      if (status.startsWith('HTTP/')) this.refused.push(status);
      return;
    }
    // The applications' bodies end so, and come with their heads.
    if (chunk[chunk.length - 1] !== LF || chunk[chunk.length - 2] === CR) throw new Error('a response came in parts');
    this.#idle.push(socket);
  }
}
