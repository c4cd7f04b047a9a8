import { LinkProtocolError } from '../errors.ts';
import { isOrder } from './hello.ts';
import { parseJson } from './json.ts';

/** What an instance says about itself, on its home link. */
export interface InstanceReport {
  readonly home: boolean;
  readonly state: 'starting' | 'ready' | 'draining';
  readonly active: number;
  /** The application has completed an answer, or a connection in which it said something. Absent: the linker is of 0.1 and does not say it. */
  readonly answered?: boolean;
  /** Its number from the directory, once it knows it: larger is newer. */
  readonly order?: number;
  /** With `draining`: the application ended by itself, and how. Absent: somebody told the instance to leave, or it ended in order. */
  readonly failure?: string;
}

/** Of a linker's `failure`, what is read. */
const FAILURE_CHARS_MAX = 500;

/** The payload of a STATE. @throws LinkProtocolError */
export function parseReport(payload: Buffer): InstanceReport {
  const value = parseJson(payload);
  const { home, state, active, answered, failure, order } = value;
  if (typeof home !== 'boolean' || (state !== 'starting' && state !== 'ready' && state !== 'draining') || !isCount(active))
    throw new LinkProtocolError('malformed STATE');
  return {
    home,
    state,
    active,
    ...(typeof answered === 'boolean' ? { answered } : {}),
    ...(isOrder(order) ? { order } : {}),
    ...(typeof failure === 'string' ? { failure: failure.slice(0, FAILURE_CHARS_MAX) } : {}),
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
