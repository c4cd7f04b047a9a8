import type { ErrorCode } from '../../errors.ts';
import { printable } from '../../printable.ts';

export interface Failure {
  /** `the application ended with code 1` */
  readonly words: string;
  /** The last lines that it wrote, without control characters. */
  readonly lines: readonly string[];
}

/** A client waits in vain, because nothing starts. */
const NOT_STARTED: ReadonlySet<ErrorCode> = new Set(['start_failed', 'hold_timeout', 'deadline']);
/** An instance failed while it served. */
const BROKEN: ReadonlySet<ErrorCode> = new Set(['application_refused', 'application_broke_off', 'link_lost']);
const REMEMBERED_MS = 600_000;
/** A crowd that waits in vain asks for the same words. */
const ASKED_AGAIN_MS = 1_000;

/** The page by which `dev` tells the developer why the application does not serve, and what it wrote last. */
export class LastFailure {
  readonly #now: () => number;
  readonly #starting: () => Failure | null;
  #last: { readonly failure: Failure; readonly at: number } | null = null;
  #isServed = false;
  #asked: { readonly failure: Failure | null; readonly at: number } | null = null;

  /** `starting`: what an instance that starts has not done yet. */
  constructor(now: () => number, starting: () => Failure | null) {
    this.#now = now;
    this.#starting = starting;
  }

  failed(failure: Failure): void {
    this.#last = { failure, at: this.#now() };
    this.#isServed = false;
  }

  /** An instance serves: starts do not fail. */
  served(): void {
    this.#isServed = true;
  }

  /** Text for the response with this error; null: there is nothing to say. */
  explain(code: ErrorCode): string | null {
    if (!NOT_STARTED.has(code) && !BROKEN.has(code)) return null;
    const last = this.#last !== null && this.#now() - this.#last.at < REMEMBERED_MS ? this.#last.failure : null;
    const failure = BROKEN.has(code) ? last : ((this.#isServed ? null : last) ?? this.#startingNow());
    if (failure === null) return null;
    const written =
      failure.lines.length === 0 ? ['It has written nothing.'] : ['It wrote last:', '', ...failure.lines.map((line) => `  ${line}`)];
    return [`${failure.words}.`, ...written].map(printable).join('\n');
  }

  #startingNow(): Failure | null {
    const now = this.#now();
    if (this.#asked === null || now - this.#asked.at > ASKED_AGAIN_MS) this.#asked = { failure: this.#starting(), at: now };
    return this.#asked.failure;
  }
}
