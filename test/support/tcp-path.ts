/**
 * The way to a port, in a test's hands: it can be slow, silent (half-open: nothing arrives, nothing breaks) or cut, and on a way
 * to Redis published messages can be lost.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { RespFrames } from './resp-frames.ts';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  /** Something was swallowed: the bytes that follow would make no sense. */
  torn: boolean;
}

export class TcpPath {
  /** Bytes that come back from the port come so much later. */
  delayMs = 0;
  /** Messages of Redis' pub/sub are lost on the way. */
  losesMessages = false;
  lostMessages = 0;
  /** Where it leads to: a port of this machine. */
  target: number;
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #silent = false;

  private constructor(server: Server, target: number) {
    this.target = target;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async open(target = 0): Promise<TcpPath> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const path = new TcpPath(server, target);
    server.on('connection', (near) =>
      path.#join(near, connect({ port: path.target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })),
    );
    return path;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** From now on nothing comes through, in either direction, and no connection ends. */
  silence(): void {
    this.#silent = true;
  }

  /** Connections that have lost something break; new ones are as they should be. */
  heal(): void {
    this.#silent = false;
    for (const pair of this.#pairs) if (pair.torn) breakBoth(pair);
  }

  /** Breaks all connections. */
  cut(): void {
    for (const pair of this.#pairs) breakBoth(pair);
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  #join(near: Socket, far: Socket): void {
    const pair: Pair = { near, far, torn: this.#silent };
    this.#pairs.add(pair);
    this.#pass(pair, near, far, (chunk) => far.write(chunk));
    const frames = new RespFrames();
    // In order, whatever each is delayed by: also what comes when the way is fast again.
    let sent = Promise.resolve();
    let late = 0;
    this.#pass(pair, far, near, (chunk) => {
      const rest = this.losesMessages || frames.isInside ? this.#withoutMessages(frames, chunk) : chunk;
      if (rest.length === 0) return true;
      if (this.delayMs === 0 && late === 0) return near.write(rest);
      const due = performance.now() + this.delayMs;
      late++;
      sent = sent.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
        late--;
        if (!near.destroyed) near.write(rest);
      });
      return true;
    });
  }

  #pass(pair: Pair, from: Socket, to: Socket, write: (chunk: Buffer) => boolean): void {
    from.on('data', (chunk: Buffer) => {
      if (this.#silent || pair.torn) pair.torn = true;
      else if (!write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => {
      if (this.#silent) pair.torn = true;
      else to.end();
    });
    from.on('error', () => {});
    from.on('close', (broken: boolean) => {
      if (this.#silent) pair.torn = true;
      else if (broken) breakBoth(pair);
      if (pair.near.destroyed && pair.far.destroyed) this.#pairs.delete(pair);
    });
  }

  #withoutMessages(frames: RespFrames, chunk: Buffer): Buffer {
    const kept: Buffer[] = [];
    for (const frame of frames.push(chunk)) {
      if (this.losesMessages && isMessage(frame)) this.lostMessages++;
      else kept.push(frame);
    }
    return Buffer.concat(kept);
  }
}

function isMessage(frame: Buffer): boolean {
  return /^[>*]3\r\n\$\d+\r\ns?message\r\n/.test(frame.toString('latin1', 0, 30));
}

function breakBoth({ near, far }: Pair): void {
  near.resetAndDestroy();
  far.resetAndDestroy();
}
