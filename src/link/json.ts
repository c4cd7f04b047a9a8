import { LinkProtocolError } from '../errors.ts';

/** @throws LinkProtocolError unless the payload is a JSON object. */
export function parseJson(payload: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // reported below
  }
  throw new LinkProtocolError('a payload that is not a JSON object');
}

/** The length of a peer's REFUSE that is reported. */
const REASON_CHARS_MAX = 200;

/** The text of a REFUSE, in words for the log. @throws LinkProtocolError */
export function refusalWords(payload: Buffer): string {
  const { reason } = parseJson(payload);
  return `refused by the peer: ${typeof reason === 'string' ? reason.slice(0, REASON_CHARS_MAX) : 'no reason given'}`;
}
