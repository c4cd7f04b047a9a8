/**
 * Both sides of a link prove that they know the secret (challenge-response with HMAC-SHA-256, RFC 2104). A proof is worth nothing
 * anywhere else: it covers the fresh nonces of both sides, everything that HELLO and CHALLENGE say, which is also where the linker
 * dialled and which node answered, and the TLS channel where there is one (RFC 9266).
 *
 * The linker proves first, and the node answers every HELLO alike: a stranger who dials a node hears nothing that depends on a secret,
 * so it can neither guess secrets offline nor learn which routes have one. An attacker that a linker dials receives one proof, against which it can
 * try guesses: with TLS only a node gets that far, and without TLS a secret must be too long to be guessed.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { LinkProtocolError } from '../errors.ts';

export type ProofRole = 'node' | 'linker';

/** A node accepts several secrets of one route while they are being rotated. */
export const SECRETS_MAX = 8;

/** The bytes that both proofs cover. */
export interface Transcript {
  /** The payloads as they were sent. */
  readonly hello: Buffer;
  readonly challenge: Buffer;
  /** See `channelBinding`. */
  readonly channel: Buffer;
}

/** A random secret. It replaces missing secrets of a route, so that every refusal takes the same time. */
const NOBODYS = randomBytes(32).toString('base64url');
const NO_CHANNEL = Buffer.alloc(0);

export function newNonce(): string {
  return randomBytes(24).toString('base64url');
}

function isTls(socket: Socket): socket is TLSSocket {
  return 'exportKeyingMaterial' in socket;
}

/**
 * RFC 9266 `tls-exporter`: differs on the two sides of a man in the middle. Empty without TLS.
 * @throws LinkProtocolError when the channel is gone.
 */
export function channelBinding(socket: Socket): Buffer {
  if (!isTls(socket)) return NO_CHANNEL;
  try {
    return socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
  } catch {
    throw new LinkProtocolError('the TLS channel can not be bound');
  }
}

export function prove(secret: string, role: ProofRole, said: Transcript): string {
  return proofOver(digestOf(said), secret, role);
}

/** The secret that the proof shows; undefined when it shows none. Takes the same time for one secret, for as many as a node may have, and for none. */
export function provenSecret(proof: unknown, secrets: readonly string[], role: ProofRole, said: Transcript): string | undefined {
  const digest = digestOf(said);
  const given = Buffer.from(typeof proof === 'string' ? proof : '');
  let proven: string | undefined;
  for (let at = 0; at < SECRETS_MAX; at++) {
    const secret = secrets[at];
    const expected = Buffer.from(proofOver(digest, secret ?? NOBODYS, role));
    const same = given.length === expected.length && timingSafeEqual(given, expected);
    if (same && secret !== undefined) proven ??= secret;
  }
  return proven;
}

function digestOf({ hello, challenge, channel }: Transcript): Buffer {
  const hash = createHash('sha256').update('pullproxy link 2\n');
  for (const part of [hello, challenge, channel]) hash.update(`${part.length}\n`).update(part);
  return hash.digest();
}

function proofOver(digest: Buffer, secret: string, role: ProofRole): string {
  return createHmac('sha256', secret).update(`${role}\n`).update(digest).digest('base64url');
}
