import { randomBytes } from 'node:crypto';
import type { Server as TlsServer } from 'node:tls';

/** A name, a key for HMAC-SHA-256 and one for AES-128 (RFC 5077 section 4), as OpenSSL and nginx keep them. */
export const TICKET_KEY_BYTES = 48;
const PART_BYTES = 16;

interface TicketKey {
  readonly name: Buffer;
  readonly hmac: Buffer;
  readonly aes: Buffer;
}

/** The answer to OpenSSL: whether a ticket is good (2: and should be replaced), and with which keys. A new one also has a name and an IV. */
type TicketAnswer = readonly [verdict: 0 | 1 | 2, hmac: Buffer, aes: Buffer, name?: Buffer, iv?: Buffer];

/** Properties of a TLS server that Node does not document. */
interface Credentials {
  readonly _sharedCreds?: {
    readonly context?: {
      enableTicketKeyCallback?(): void;
      onticketkeycallback?: (name: Buffer, iv: Buffer, encrypts: boolean) => TicketAnswer;
    };
  };
}

/**
 * The keys of session tickets: the first one encrypts, all of them decrypt. A client comes back to whatever process it finds, so that all
 * that serve the same names must have the same keys.
 */
export class TicketKeys {
  #keys: readonly [TicketKey, ...TicketKey[]];

  constructor(keys: readonly Buffer[] = [randomBytes(TICKET_KEY_BYTES)]) {
    this.#keys = parse(keys);
  }

  /** From the next connection on. `keys`: at least one. */
  use(keys: readonly Buffer[]): void {
    this.#keys = parse(keys);
  }

  /** Makes `server` take them; to be called again when it has another certificate. */
  arm(server: TlsServer): void {
    const context = (server as Credentials)._sharedCreds?.context;
    if (context === undefined || typeof context.enableTicketKeyCallback !== 'function') {
      // Node's documented way knows one key, and none that was before it.
      const [{ name, hmac, aes }] = this.#keys;
      server.setTicketKeys(Buffer.concat([name, hmac, aes]));
      return;
    }
    context.onticketkeycallback = (name, _iv, encrypts) => (encrypts ? this.#newTicket() : this.#judge(name));
    context.enableTicketKeyCallback();
  }

  #newTicket(): TicketAnswer {
    const [{ name, hmac, aes }] = this.#keys;
    return [1, hmac, aes, name, randomBytes(PART_BYTES)];
  }

  #judge(name: Buffer): TicketAnswer {
    const [first] = this.#keys;
    const key = this.#keys.find((one) => one.name.equals(name));
    // Node ends the process when the callback returns no keys.
    return [key === undefined ? 0 : key === first ? 1 : 2, (key ?? first).hmac, (key ?? first).aes];
  }
}

/** Keys that follow each other: each is known to all before the first ticket is made with it, and as long as tickets of it may come. */
export class TicketKeySeries {
  #previous: Buffer = randomBytes(TICKET_KEY_BYTES);
  #current: Buffer = randomBytes(TICKET_KEY_BYTES);
  #next: Buffer = randomBytes(TICKET_KEY_BYTES);

  get keys(): readonly Buffer[] {
    return [this.#current, this.#next, this.#previous];
  }

  rotate(): void {
    [this.#previous, this.#current, this.#next] = [this.#current, this.#next, randomBytes(TICKET_KEY_BYTES)];
  }
}

function parse(keys: readonly Buffer[]): readonly [TicketKey, ...TicketKey[]] {
  const [first, ...others] = keys.map((key) => ({
    name: key.subarray(0, PART_BYTES),
    hmac: key.subarray(PART_BYTES, 2 * PART_BYTES),
    aes: key.subarray(2 * PART_BYTES, TICKET_KEY_BYTES),
  }));
  if (first === undefined || keys.some(({ length }) => length !== TICKET_KEY_BYTES)) throw new Error('no key for session tickets');
  return [first, ...others];
}
