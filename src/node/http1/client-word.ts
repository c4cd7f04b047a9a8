import type { ClientWord } from '../matching/queue-rules.ts';
import type { RequestHead } from './head/request-head.ts';

/** What the head of a request says about its client, for the order of the queue. Looked up only where a route asks. */
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

  header(name: string): string {
    return this.#head.field(name) ?? '';
  }
}
