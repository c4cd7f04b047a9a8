/**
 * Both sides of a link prove that they know the secret, over fresh challenges of both and over everything that the hello
 * said (challenge-response with HMAC-SHA-256, RFC 2104): a recorded proof is worth nothing on another link, and neither
 * side can be used as an oracle for the other's role.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

export type ProofRole = 'node' | 'linker';

/** What both proofs cover: the HELLO payload as sent (with the linker's challenge in it), and the node's id and challenge. */
export interface Transcript {
  readonly hello: Buffer;
  readonly node: string;
  readonly nonce: string;
}

export function newNonce(): string {
  return randomBytes(24).toString('base64url');
}

export function prove(secret: string, role: ProofRole, said: Transcript): string {
  const hmac = createHmac('sha256', secret);
  hmac
    .update(`pullproxy link ${role}\n${said.hello.length}\n`)
    .update(said.hello)
    .update(`\n${said.node.length}\n${said.node}\n${said.nonce}`);
  return hmac.digest('base64url');
}

/** Constant time in the proof's content. */
export function proves(proof: unknown, secret: string, role: ProofRole, said: Transcript): boolean {
  if (typeof proof !== 'string') return false;
  const expected = Buffer.from(prove(secret, role, said));
  const given = Buffer.from(proof);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
