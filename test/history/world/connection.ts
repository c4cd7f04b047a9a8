/** A client's connection to a node: one request after the other, in HTTP/1.1, with as little of a client in between as there can be. */
import { connect, type Socket } from 'node:net';

export interface Answer {
  /** 0: there was none. */
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Why there was no answer. */
  readonly why: string | null;
  readonly begun: boolean;
}

const HEAD_END = '\r\n\r\n';
const NONE: ReadonlyMap<string, string> = new Map();

export class Connection {
  readonly #socket: Socket;
  #text = '';
  #settle: ((answer: Answer) => void) | null = null;
  #isOpen = true;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#came(text));
    this.#socket.on('error', ({ code, message }: NodeJS.ErrnoException) => this.#broke(code ?? message));
    this.#socket.on('end', () => this.#broke('closed'));
    this.#socket.on('close', () => this.#broke('closed'));
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  ask(request: string): Promise<Answer> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#text = '';
      this.#socket.write(request, 'latin1');
    });
  }

  close(): void {
    this.#isOpen = false;
    this.#socket.destroy();
  }

  /** A request that waits has no answer, for this reason. */
  giveUp(why: string): void {
    this.#broke(why);
  }

  #came(text: string): void {
    this.#text += text;
    const answer = readAnswer(this.#text);
    if (answer === null) return;
    if (answer === 'malformed' || this.#settle === null) this.#broke('malformed');
    else {
      if (answer.headers.get('connection') === 'close') this.close();
      this.#end(answer);
    }
  }

  #broke(why: string): void {
    this.close();
    this.#end({ status: 0, headers: NONE, body: '', why, begun: this.#text !== '' });
  }

  #end(answer: Answer): void {
    const settle = this.#settle;
    this.#settle = null;
    settle?.(answer);
  }
}

function readAnswer(text: string): Answer | 'malformed' | null {
  const end = text.indexOf(HEAD_END);
  if (end === -1) return null;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const length = Number(headers.get('content-length'));
  if (!(status >= 200) || !Number.isInteger(length)) return 'malformed';
  const body = text.slice(end + HEAD_END.length);
  if (body.length < length) return null;
  return body.length > length ? 'malformed' : { status, headers, body, why: null, begun: true };
}
