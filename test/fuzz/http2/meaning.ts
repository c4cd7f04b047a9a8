/** What a client's script asks for, read as RFC 9113 says and without regard to how a server is built. */
import type { Field, Step } from './script.ts';

export interface MeantRequest {
  readonly id: number;
  readonly fields: readonly Field[];
  readonly body: Buffer[];
  trailers: readonly Field[];
  /** END_STREAM was said. */
  ended: boolean;
  /** The client took it back before its end. */
  brokenOff: boolean;
  /** The client wants no answer. */
  reset: boolean;
  /** A frame that is not modelled speaks of this stream: what it means is not judged. */
  touched: boolean;
}

export class Meaning {
  readonly requests = new Map<number, MeantRequest>();
  /** Something was said that is no frame, or that ends the connection: an answer can't be expected. */
  broken = false;
  /** Windows that the client has set: an answer may have to wait for ever. */
  throttled = false;
  #open: { id: number; end: boolean; fields: Field[] } | null = null;
  #lastId = 0;

  constructor(steps: readonly Step[]) {
    for (const step of steps) if (!this.#take(step)) break;
  }

  #take(step: Step): boolean {
    if (this.#open !== null && step.kind !== 'continuation' && step.kind !== 'wait') this.broken = true;
    switch (step.kind) {
      case 'headers':
        this.#open = { id: step.id, end: step.end, fields: [...step.fields] };
        if (step.whole) this.#head();
        return true;
      case 'continuation':
        if (this.#open === null || this.#open.id !== step.id) {
          this.broken = true;
          return true;
        }
        this.#open.fields.push(...step.fields);
        if (step.whole) this.#head();
        return true;
      case 'data': {
        const request = this.requests.get(step.id);
        if (request === undefined || request.ended || request.brokenOff) this.broken = true;
        else {
          request.body.push(step.body);
          request.ended = step.end;
        }
        return true;
      }
      case 'reset': {
        const request = this.requests.get(step.id);
        if (request === undefined) this.broken = true;
        else {
          request.reset = true;
          request.brokenOff ||= !request.ended;
        }
        return true;
      }
      case 'settings':
        if (step.values.some(([name]) => name === 4 || name === 5)) this.throttled = true;
        return true;
      case 'plain':
        // GOAWAY, and windows that overflow.
        if (step.bytes[3] === 7 || step.bytes[3] === 8) this.throttled = true;
        return true;
      case 'raw':
        this.broken = true;
        this.#touch(step.bytes);
        return true;
      case 'wait':
        return true;
      default:
        this.broken = true;
        return false;
    }
  }

  #head(): void {
    const { id, end, fields } = this.#open as { id: number; end: boolean; fields: Field[] };
    this.#open = null;
    const before = this.requests.get(id);
    if (before !== undefined) {
      if (before.ended || before.brokenOff || !end) this.broken = true;
      else {
        before.trailers = fields;
        before.ended = true;
      }
      return;
    }
    if (id % 2 === 0 || id <= this.#lastId) {
      this.broken = true;
      return;
    }
    this.#lastId = id;
    this.requests.set(id, { id, fields, body: [], trailers: [], ended: end, brokenOff: false, reset: false, touched: false });
  }

  /** Frames are searched where they are not modelled: whichever stream is named there is left alone. */
  #touch(bytes: Buffer): void {
    const id = bytes.length >= 9 ? bytes.readUInt32BE(5) & 0x7fffffff : 0;
    const named = this.requests.get(id);
    if (named !== undefined) named.touched = true;
    else if (bytes.length < 9 || bytes.readUIntBE(0, 3) !== bytes.length - 9)
      for (const request of this.requests.values()) request.touched = true;
  }
}

export function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value);
}
