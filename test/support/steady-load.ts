/** So many requests a second, whatever becomes of them: what a deployment must not disturb. */
import { Agent } from 'node:http';
import { type ApplicationResponse, ask } from './clients.ts';

const TICK_MS = 10;

export class SteadyLoad {
  /** Answers by version, failures by status and reason. */
  readonly seen = new Map<string, number>();
  sent = 0;
  #failed = 0;
  readonly #node: (i: number) => string;
  readonly #host: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 200 });
  readonly #open = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  readonly #begunAt = performance.now();

  constructor(node: (i: number) => string, host: string, perSecond: number) {
    this.#node = node;
    this.#host = host;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - this.#begunAt) / 1_000) * perSecond;
      while (this.sent < due) this.#send();
    }, TICK_MS);
  }

  get failed(): number {
    return this.#failed;
  }

  /** Sends no more, and waits for all answers. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    this.#agent.destroy();
  }

  #send(): void {
    const asked = ask(this.#node(this.sent++), { host: this.#host, agent: this.#agent })
      .then(
        (answer) => this.#answered(answer),
        (error: Error) => this.#note(`broken: ${error.message}`, true),
      )
      .finally(() => this.#open.delete(asked));
    this.#open.add(asked);
  }

  #answered({ status, headers, body }: ApplicationResponse): void {
    if (status === 200) this.#note(body, false);
    else this.#note(`${status} ${String(headers['proxy-status'])}`, true);
  }

  #note(what: string, failed: boolean): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
    if (failed) this.#failed++;
  }
}
