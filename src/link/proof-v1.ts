/**
 * Proofs of link protocol 1, as pullproxy 0.1 makes them: the node proves first, and neither the dialled address nor the TLS channel is covered.
 * Used only if the operator allows version 0.1.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { type ProofRole, SECRETS_MAX } from './proof.ts';

/** Both proofs cover: the HELLO payload as sent (with the linker's challenge in it), and the node's id and challenge. */
export interface TranscriptV1 {
  readonly hello: Buffer;
  readonly node: string;
  readonly nonce: string;
}

export function proveV1(secret: string, role: ProofRole, said: TranscriptV1): string {
  const hmac = createHmac('sha256', secret);
  hmac
    .update(`pullproxy link ${role}\n${said.hello.length}\n`)
    .update(said.hello)
    .update(`\n${said.node.length}\n${said.node}\n${said.nonce}`);
  return hmac.digest('base64url');
}

/** Constant time in the proof's content. */
export function provesV1(proof: unknown, secret: string, role: ProofRole, said: TranscriptV1): boolean {
  if (typeof proof !== 'string') return false;
  const expected = Buffer.from(proveV1(secret, role, said));
  const given = Buffer.from(proof);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** The proofs of a node, one for each secret; a stranger does not learn how many there are, or that there is none. */
export function nodeProofsV1(secrets: readonly string[], said: TranscriptV1): string[] {
  return Array.from({ length: SECRETS_MAX }, (_, at) => proveV1(secrets[at] ?? randomBytes(32).toString('hex'), 'node', said));
}
