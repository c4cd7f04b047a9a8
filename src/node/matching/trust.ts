/** How many responses may say that the application failed, before the instance is only used where no other one is idle. */
const FAILED_RESPONSES_MAX = 3;

/**
 * The judgement on an instance, made from its responses. `new`: it has not answered yet, so it gets one request at a time while others could
 * serve. `proven`: it has. `suspect`: its first requests failed, so it gets what nobody else can take; a good response clears it.
 */
export type TrustState = 'new' | 'proven' | 'suspect';

/** A new version may accept connections and be broken all the same: the older ones still serve while it has to prove itself. */
export class Trust {
  readonly #becameSuspect: () => void;
  #state: TrustState = 'new';
  #failedResponses = 0;

  constructor(becameSuspect: () => void) {
    this.#becameSuspect = becameSuspect;
  }

  get state(): TrustState {
    return this.#state;
  }

  /** It has begun a response. */
  answered(status: number): void {
    if (this.#state === 'proven') return;
    if (status < 500) this.#state = 'proven';
    else this.doubted();
  }

  /** It has answered, maybe by closing a connection, in a way that may be its fault. */
  doubted(): void {
    if (this.#state !== 'proven' && ++this.#failedResponses >= FAILED_RESPONSES_MAX) this.#suspect();
  }

  /** It refused a connection, or broke off before its response. */
  failed(): void {
    if (this.#state === 'new') this.#suspect();
  }

  #suspect(): void {
    if (this.#state === 'suspect') return;
    this.#state = 'suspect';
    this.#becameSuspect();
  }
}
