import type { TakeConnection } from './app-socket.ts';
import type { ApplicationEvents, LinkedApplication } from './application.ts';

/** The application of a linker that runs inside it: there is no process to start, to watch or to end. It accepts at once. */
export class InProcessApplication implements LinkedApplication {
  readonly endsIt = false;
  readonly #take: TakeConnection;
  readonly #events: ApplicationEvents;
  #isStopped = false;

  constructor(take: TakeConnection, events: ApplicationEvents) {
    this.#take = take;
    this.#events = events;
  }

  get pid(): number {
    return process.pid;
  }

  async start(): Promise<void> {
    this.lookAgain();
  }

  lookAgain(): void {
    if (!this.#isStopped) this.#events.accepts(this.#take);
  }

  stopLooking(): void {
    this.#isStopped = true;
  }

  notReadyWords(): string {
    return 'has not accepted yet';
  }

  signal(): void {}

  kill(): void {}

  async stop(): Promise<void> {}
}
