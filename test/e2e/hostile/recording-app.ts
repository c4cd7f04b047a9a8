/** The application behind each proxy: says what it was asked, and answers as the test wants. */

import { ok, ScriptedApp } from '../../support/harness/scripted-app.ts';
import type { HttpMessage } from '../../support/http-message.ts';
import type { RawSocket } from '../../support/raw-socket.ts';

export const LARGE_BYTES = 40_000_000;
const PAGE_BYTES = 20_000;

/** What is sent instead of an answer to `/evil`. */
export interface EvilAnswer {
  readonly bytes: string;
  /** The connection ends with it. */
  readonly ends?: boolean;
}

export class RecordingApp {
  /** Each whole request, in words. */
  seen: string[] = [];
  evil: EvilAnswer = { bytes: '' };
  /** The connections that were asked for `/large`. */
  large: RawSocket[] = [];
  /** The connection that was asked for `/evil`, and whether it was asked again. */
  evilConnection: RawSocket | null = null;
  reusedEvil = false;
  /** Answers to `/late` that are still to be given. */
  late: (() => void)[] = [];
  #app!: ScriptedApp;

  static async listen(): Promise<RecordingApp> {
    const recording = new RecordingApp();
    recording.#app = await ScriptedApp.listen((connection) => recording.#serve(connection));
    return recording;
  }

  get port(): number {
    return this.#app.port;
  }

  /** It is rid of all its large answers, by whatever end. */
  get isFree(): boolean {
    return this.large.every(({ socket }) => socket.destroyed || socket.writableLength === 0);
  }

  async #serve(connection: RawSocket): Promise<void> {
    for (;;) {
      await this.#answerEarly(connection);
      const request = await connection.request();
      const path = request.startLine.split(' ')[1] ?? '';
      if (connection === this.evilConnection) this.reusedEvil = true;
      if (path !== '/victim') this.seen.push(describe(request));
      if (path === '/evil') {
        this.evilConnection = connection;
        connection.send(this.evil.bytes);
        if (this.evil.ends === true) connection.end();
      } else if (path === '/large') {
        this.large.push(connection);
        connection.send(ok(Buffer.alloc(LARGE_BYTES)));
      } else if (path === '/page') {
        connection.send(ok(Buffer.alloc(PAGE_BYTES)));
      } else if (path === '/late') {
        this.late.push(() => connection.send(ok('late')));
      } else if (path !== '/early') {
        connection.send(ok(`${path} of ${request.values('x-id').join()}`));
      }
    }
  }

  /** A request for `/early` has its answer before its body is there. */
  async #answerEarly(connection: RawSocket): Promise<void> {
    await connection.until(() => connection.unread.includes('\r\n\r\n'), 'a head');
    if (connection.unread.toString('latin1').startsWith('POST /early ')) connection.send(ok('early'));
  }
}

/** `POST /a (chunked)`; a host other than the usual one and the header `X-A` are named. */
function describe(request: HttpMessage): string {
  const [method = '', target = ''] = request.startLine.split(' ');
  const facts: string[] = [];
  if (request.values('transfer-encoding').length > 0) facts.push(request.values('transfer-encoding').join());
  const hosts = request.values('host').join();
  if (hosts !== 'app.test') facts.push(`Host: ${hosts}`);
  const upgrades = request.values('upgrade');
  if (upgrades.length > 0) facts.push(`Upgrade: ${upgrades.join()}`);
  const [added] = request.values('x-a');
  if (added !== undefined) facts.push(`X-A: ${JSON.stringify(added)}`);
  return `${method} ${target}${facts.length === 0 ? '' : ` (${facts.join('; ')})`}`;
}
