import { LinkProtocolError } from '../errors.ts';
import { parseJson } from './json.ts';

/** What an instance says about itself, on its home link. */
export interface InstanceReport {
  readonly home: boolean;
  readonly state: 'starting' | 'ready' | 'draining';
  readonly active: number;
}

/** The payload of a STATE. @throws LinkProtocolError */
export function parseReport(payload: Buffer): InstanceReport {
  const value = parseJson(payload);
  const { home, state, active } = value;
  if (typeof home !== 'boolean' || (state !== 'starting' && state !== 'ready' && state !== 'draining') || !isCount(active))
    throw new LinkProtocolError('malformed STATE');
  return { home, state, active };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
