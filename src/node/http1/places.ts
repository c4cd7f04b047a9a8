/**
 * A place in the line of a route that somebody in front of a waiting page keeps between two requests: signed, so that no node has to remember it.
 *
 *     ID . when its holder came . until when it may be taken again . signature
 *
 * The signature covers the route and the holder, too: a place that is copied is worth nothing elsewhere. A place can be taken for some seconds only and
 * is given anew to a request that was held meanwhile, so that it costs as much to keep a place as to wait. One request has it at a time.
 */
import { createHmac, hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Times are the directory's, in ms. */
export interface Place {
  readonly id: string;
  readonly arrival: number;
}

/** The client that holds a place, and its line. */
export interface Holder {
  readonly route: string;
  readonly address: string;
  readonly userAgent: string;
}

/** How long after its page somebody may come back. */
export const PLACE_LIVES_MS = 15_000;
/** Nobody waits for longer. */
const PLACE_AGE_MAX_MS = 3_600_000;
/** Nodes read the directory's clock a little apart. */
const CLOCKS_APART_MS = 1_000;
/** A shorter secret could be guessed by everybody who has a place: keys of this process are used instead. */
const SECRET_CHARS_MIN = 16;
const ID_BYTES = 12;
/** 128 bits. */
const SIGNATURE_CHARS = 22;
const TOKEN = /^([\w-]{16})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([\w-]{22})$/;

export class Places {
  readonly #secrets: (route: string) => readonly string[];
  readonly #ownKey = randomBytes(32);

  /** `secrets`: those that nodes share for a route; the first one signs. */
  constructor(secrets: (route: string) => readonly string[]) {
    this.#secrets = secrets;
  }

  /** A place of somebody who came at `arrival`. */
  begin(arrival: number): Place {
    return { id: randomBytes(ID_BYTES).toString('base64url'), arrival: Math.floor(arrival) };
  }

  write({ id, arrival }: Place, holder: Holder, now: number): string {
    const text = `${id}.${arrival.toString(36)}.${Math.floor(now + PLACE_LIVES_MS).toString(36)}`;
    return `${text}.${signature(this.#keysOf(holder.route)[0] as Buffer | string, text, holder)}`;
  }

  /** Null: it is not a place, not this holder's, or it is too late. */
  read(token: string, holder: Holder, now: number): Place | null {
    const [, id = '', arrival36 = '', until36 = '', signed = ''] = TOKEN.exec(token) ?? [];
    if (id === '') return null;
    const [arrival, until] = [Number.parseInt(arrival36, 36), Number.parseInt(until36, 36)];
    if (until < now || until > now + PLACE_LIVES_MS + CLOCKS_APART_MS) return null;
    if (arrival > now + CLOCKS_APART_MS || arrival < now - PLACE_AGE_MAX_MS) return null;
    const text = token.slice(0, token.lastIndexOf('.'));
    const isSigned = this.#keysOf(holder.route).some((key) => isSame(signature(key, text, holder), signed));
    return isSigned ? { id, arrival } : null;
  }

  #keysOf(route: string): readonly (Buffer | string)[] {
    const secrets = this.#secrets(route).filter(({ length }) => length >= SECRET_CHARS_MIN);
    return secrets.length === 0 ? [this.#ownKey] : secrets;
  }
}

function signature(key: Buffer | string, text: string, { route, address, userAgent }: Holder): string {
  const holder = hash('sha256', `${address}\n${userAgent}`, 'base64url');
  // Nothing else that is signed with these secrets begins like this.
  const hmac = createHmac('sha256', key).update(`pullproxy place 1\n${route}\n${holder}\n${text}`);
  return hmac.digest('base64url').slice(0, SIGNATURE_CHARS);
}

function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
