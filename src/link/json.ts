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
