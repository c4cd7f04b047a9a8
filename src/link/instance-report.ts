import { LinkProtocolError } from '../errors.ts';
import { CONCURRENCY_MAX, isOrder } from './hello.ts';
import { parseJson } from './json.ts';

/** The source of an instance's limit: its command line, a response of the application, the control socket, or the linker's own search. */
export const LIMIT_SETTERS = ['flag', 'header', 'control', 'auto'] as const;

export type LimitSetter = (typeof LIMIT_SETTERS)[number];

/** The report of an instance about itself, on its home link. */
export interface InstanceReport {
  readonly home: boolean;
  /** `paused`: it is ready, and its limit is 0. */
  readonly state: 'starting' | 'ready' | 'paused' | 'draining';
  readonly active: number;
  /** Its limit as it is now, and what has set it. Absent: the linker is of 0.1, where it does not move. */
  readonly concurrency?: number;
  readonly setBy?: LimitSetter;
  /** How often the limit was changed since the instance began, by whom. */
  readonly changes?: Partial<Record<LimitSetter, number>>;
  /** Values of the limit that could not be understood, since the instance began. */
  readonly unusable?: number;
  /** The application has completed a response, or a connection with some bytes of it. Absent: a linker of 0.1 does not say it. */
  readonly answered?: boolean;
  /** Its number from the directory, once it knows it: larger is newer. */
  readonly order?: number;
  /** With `draining`: the application ended by itself, and how. Absent: the instance was told to leave, or it ended in order. */
  readonly failure?: string;
}

/** The length of a linker's `failure` that is read. */
export const FAILURE_CHARS_MAX = 500;

/** The payload of a STATE. @throws LinkProtocolError */
export function parseReport(payload: Buffer): InstanceReport {
  const value = parseJson(payload);
  const { home, state, active, answered, failure, order, concurrency, setBy, changes, unusable } = value;
  if (typeof home !== 'boolean' || !isState(state) || !isCount(active)) throw new LinkProtocolError('malformed STATE');
  const setter = LIMIT_SETTERS.find((one) => one === setBy);
  return {
    home,
    state,
    active,
    ...(isCount(concurrency) && concurrency <= CONCURRENCY_MAX ? { concurrency } : {}),
    ...(setter === undefined ? {} : { setBy: setter }),
    ...(isObject(changes) ? { changes: readChanges(changes) } : {}),
    ...(isCount(unusable) ? { unusable } : {}),
    ...(typeof answered === 'boolean' ? { answered } : {}),
    ...(isOrder(order) ? { order } : {}),
    ...(typeof failure === 'string' ? { failure: failure.slice(0, FAILURE_CHARS_MAX) } : {}),
  };
}

function isState(value: unknown): value is InstanceReport['state'] {
  return value === 'starting' || value === 'ready' || value === 'paused' || value === 'draining';
}

function readChanges(said: Record<string, unknown>): Partial<Record<LimitSetter, number>> {
  const changes: Partial<Record<LimitSetter, number>> = {};
  for (const setter of LIMIT_SETTERS) {
    const count = said[setter];
    if (isCount(count)) changes[setter] = count;
  }
  return changes;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
