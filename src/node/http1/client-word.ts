import type { ClientWord } from '../matching/queue-rules.ts';
import type { RequestHead } from './head/request-head.ts';

/** The client's words in the head of a request, for the order of the queue. They are looked up only where a route asks. */
export class HeadWord implements ClientWord {
  readonly #head: RequestHead;

  constructor(head: RequestHead) {
    this.#head = head;
  }

  get isTrusted(): boolean {
    return this.#head.isFromProxy;
  }

  get address(): string {
    return this.#head.client;
  }

  get method(): string {
    return this.#head.method;
  }

  get target(): string {
    return this.#head.target;
  }

  header(name: string): string {
    return this.#head.field(name) ?? '';
  }
}
