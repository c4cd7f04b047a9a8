/**
 * The server name that a TLS client asks for, read from its first bytes (RFC 8446 section 4.1.2, RFC 6066 section 3) however they
 * are split over segments and records. Nothing is decrypted and nothing is changed.
 */
export type ServerName =
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'unnamed' }
  /** `bytesMin`: with fewer bytes than these it is still incomplete, so nobody needs to look again before. */
  | { readonly kind: 'incomplete'; readonly bytesMin: number }
  /** Not the beginning of a TLS connection. */
  | { readonly kind: 'malformed' };

export const RECORD_HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const EXTENSION_SERVER_NAME = 0;
const NAME_TYPE_HOST = 0;
/** The longest payload of one record; RFC 8446 section 5.1. */
const RECORD_BYTES_MAX = 16_384;

const MALFORMED: ServerName = { kind: 'malformed' };
const UNNAMED: ServerName = { kind: 'unnamed' };

/** `bytes`: all that came so far. */
export function readServerName(bytes: Buffer): ServerName {
  const handshake = handshakeBytes(bytes);
  if (handshake === null) return MALFORMED;
  if (handshake.length > 0 && handshake[0] !== CLIENT_HELLO) return MALFORMED;
  const missing = messageBytes(handshake) - handshake.length;
  if (missing > 0) return { kind: 'incomplete', bytesMin: bytes.length + missing };
  return serverName(new Fields(handshake.subarray(4, 4 + handshake.readUIntBE(1, 3))));
}

/** The length of the message that begins so, with its own head; its head is awaited first. */
function messageBytes(start: Buffer): number {
  return start.length < 4 ? 4 : 4 + start.readUIntBE(1, 3);
}

/**
 * The payloads of the handshake records that are there, joined, up to the end of the first message: what follows it does not matter,
 * and may not have come. Null when something else comes first.
 */
function handshakeBytes(bytes: Buffer): Buffer | null {
  const payloads: Buffer[] = [];
  let collected = 0;
  let wanted = 4;
  for (let at = 0; at < bytes.length && collected < wanted; ) {
    if (bytes[at] !== RECORD_HANDSHAKE) return null;
    if (bytes.length - at < 5) {
      if (bytes.length - at > 1 && bytes[at + 1] !== 3) return null;
      break;
    }
    const length = bytes.readUInt16BE(at + 3);
    if (bytes[at + 1] !== 3 || length === 0 || length > RECORD_BYTES_MAX) return null;
    const payload = bytes.subarray(at + 5, Math.min(bytes.length, at + 5 + length));
    payloads.push(payload);
    collected += payload.length;
    if (wanted === 4 && collected >= 4) wanted = messageBytes(Buffer.concat(payloads));
    at += 5 + length;
  }
  return Buffer.concat(payloads);
}

function serverName(hello: Fields): ServerName {
  // Its version and its random (RFC 8446 section 4.1.2).
  hello.skip(2 + 32);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  if (hello.atEnd) return hello.ok ? UNNAMED : MALFORMED;
  const extensions = hello.vector(2);
  while (extensions.ok && !extensions.atEnd) {
    const type = extensions.number(2);
    const extension = extensions.vector(2);
    if (!extensions.ok || type !== EXTENSION_SERVER_NAME) continue;
    const list = extension.vector(2);
    const nameType = list.number(1);
    const name = list.vector(2);
    if (!list.ok || nameType !== NAME_TYPE_HOST) return MALFORMED;
    const text = name.rest.toString('latin1').toLowerCase().replace(/\.$/, '');
    return /^[a-z0-9._-]{1,253}$/.test(text) ? { kind: 'named', name: text } : MALFORMED;
  }
  return hello.ok && extensions.ok ? UNNAMED : MALFORMED;
}

/** Reads the fields of a TLS structure one after the other; what is not there makes it not `ok`, for good. */
class Fields {
  rest: Buffer;
  ok = true;

  constructor(bytes: Buffer) {
    this.rest = bytes;
  }

  get atEnd(): boolean {
    return this.rest.length === 0;
  }

  skip(bytes: number): void {
    this.#take(bytes);
  }

  number(bytes: 1 | 2): number {
    const field = this.#take(bytes);
    return field.length === bytes ? field.readUIntBE(0, bytes) : 0;
  }

  /** The bytes behind a length of so many bytes. */
  vector(lengthBytes: 1 | 2): Fields {
    const fields = new Fields(this.#take(this.number(lengthBytes)));
    fields.ok = this.ok;
    return fields;
  }

  #take(bytes: number): Buffer {
    if (this.rest.length < bytes) {
      this.ok = false;
      this.rest = this.rest.subarray(this.rest.length);
      return this.rest;
    }
    const taken = this.rest.subarray(0, bytes);
    this.rest = this.rest.subarray(bytes);
    return taken;
  }
}
