/** One end of a TCP connection that a test plays byte by byte: what came so far, and how the other side ended it. */
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { type HttpMessage, readRequest, readResponse } from './http-message.ts';

const WAIT_MS_MAX = 30_000;

/** `fin`: ended in order. `reset`: broken. */
export type Ending = 'fin' | 'reset';

export class RawSocket {
  readonly socket: Socket;
  /** Everything that came, taken or not. */
  receivedBytes = 0;
  ending: Ending | null = null;
  /** Set to only count what comes. */
  discards = false;
  #unread: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #takenBytes = 0;
  readonly #changed = new EventEmitter().setMaxListeners(0);

  /** The socket must allow half-open: its end is the test's to decide. */
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      if (!this.discards) this.#chunks.push(chunk);
      this.#changed.emit('change');
    });
    socket.on('end', () => this.#ended('fin'));
    socket.on('error', () => this.#ended('reset'));
    socket.on('close', () => this.#ended('reset'));
  }

  /** Came and is not taken yet. */
  get unread(): Buffer {
    if (this.#chunks.length > 0) {
      this.#unread = Buffer.concat([this.#unread, ...this.#chunks]);
      this.#chunks = [];
    }
    return this.#unread;
  }

  /** Text is sent byte for byte (latin1). Returns false when the kernel takes no more. */
  send(bytes: string | Buffer): boolean {
    return this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** FIN: this side sends no more. */
  end(bytes: string | Buffer = ''): void {
    this.socket.end(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Stops reading: the other side's bytes pile up in the kernel. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  async take(bytes: number): Promise<Buffer> {
    await this.until(() => this.receivedBytes - this.#takenBytes >= bytes, `${bytes} bytes`);
    this.#takenBytes += bytes;
    const taken = this.unread.subarray(0, bytes);
    this.#unread = this.unread.subarray(bytes);
    return taken;
  }

  /** Everything up to `text` and with it. */
  async takeThrough(text: string): Promise<string> {
    await this.until(() => this.unread.includes(text, 0, 'latin1'), JSON.stringify(text));
    return (await this.take(this.unread.indexOf(text, 0, 'latin1') + text.length)).toString('latin1');
  }

  /** The next request that came, whole. */
  request(): Promise<HttpMessage> {
    return readRequest(this);
  }

  /** The next answer that came, whole; interim ones are answers of their own. `method` is that of its request. */
  response(method = 'GET'): Promise<HttpMessage> {
    return readResponse(this, method);
  }

  /** How the other side ended it. */
  async ended(): Promise<Ending> {
    await this.until(() => this.ending !== null, 'the end of the connection', true);
    return this.ending as Ending;
  }

  /** @throws Error when the condition does not hold before the end of the connection, or in time. */
  async until(condition: () => boolean, what = condition.toString(), beyondEnd = false): Promise<void> {
    while (!condition()) {
      const signal = AbortSignal.timeout(WAIT_MS_MAX);
      if (this.ending !== null && !beyondEnd) throw new Error(`${this.ending} instead of ${what}, after ${this.#tail()}`);
      await once(this.#changed, 'change', { signal }).catch(() => {
        throw new Error(`nothing more came while waiting for ${what}, after ${this.#tail()}`);
      });
    }
  }

  #ended(how: Ending): void {
    this.ending ??= how;
    this.#changed.emit('change');
  }

  #tail(): string {
    return `${this.receivedBytes} bytes with ${JSON.stringify(this.unread.toString('latin1').slice(0, 500))} not taken`;
  }
}
