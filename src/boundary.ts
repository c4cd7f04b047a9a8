/**
 * Failure domains: an error of ours ends the one thing in which it happened, and the process goes on.
 *
 * A boundary stands where an event enters our code: a socket's event, a frame, a timer, a message. It catches an error, counts it,
 * logs it with its stack, and ends its domain. Errors outside every boundary reach cli/process/last-resort.ts.
 */
import { isNativeError } from 'node:util/types';
import type { Log } from './log.ts';

/** The places of boundaries, and what an error there ends: the values of `pullproxy_internal_errors_total{where}`. */
export const PLACES = {
  listener: 'a connection that is being accepted: it is closed',
  client: 'a connection of a client: it is closed, and its requests end',
  visit: 'one request, or one TCP connection: its client gets a 500, or a broken connection when the response has begun',
  link: 'the link between a linker and a node: it is closed, its slots go home to the linker, which dials again',
  application: "a linker's connection to its application, or its process: the connection is closed",
  directory: 'one reply of Redis: it is dropped, and asked for again',
  bell: 'one message from another node: it is dropped, and the sweep repairs that',
  job: 'one startup job: it fails, and is tried again',
  command: 'one run of a startup command: it counts as failed',
  admin: 'one request at the admin port: it is answered with a 500',
  worker: 'one message between a supervisor and its workers: it is dropped',
  timer: 'one tick of a timer: the next one comes',
  discovery: 'one message of Docker or Kubernetes, or one look at what is there: it is dropped, and asked for again',
  observer: 'one line of the access log, or one span: it is lost',
  file: 'one check for changed files: the previous content stays in use',
  unknown: 'an error outside every boundary: the process drains for a few seconds and ends with exit code 70',
} as const satisfies Record<string, string>;

export type Place = keyof typeof PLACES;

/** An error inside the domain ends it. */
export interface FailureDomain {
  readonly where: Place;
  /** Ends the domain, whatever state the error has left it in. Other domains must not notice. */
  fail(): void;
}

/** An invariant is broken, and ending a domain cannot restore it: the process must end, in order. */
export class BrokenInvariant extends Error {
  override readonly name = 'BrokenInvariant';
}

/** @throws AssertionError: what called this is a bug. Node's assertions are loaded for it alone. */
export function impossible(message: string): never {
  return process.getBuiltinModule('node:assert').fail(message);
}

/** The internal errors of a process at one place. */
export interface InternalErrors {
  readonly count: number;
  /** ms since the last error. */
  readonly ageMs: number;
  /** One line about the last error. */
  readonly message: string;
}

interface Tally {
  count: number;
  lastAt: number;
  message: string;
  /** Logged in the current LOG_WINDOW_MS. */
  logged: number;
  unlogged: number;
  windowAt: number;
}

/** Errors of one place that are logged within LOG_WINDOW_MS: an error in each request must not fill the disk. */
const LOGGED_MAX = 10;
const LOG_WINDOW_MS = 60_000;
/** Messages and stacks can contain bytes of strangers. */
const STACK_CHARS_MAX = 8_192;
const MESSAGE_CHARS_MAX = 200;

const tallies = new Map<Place, Tally>();
let log: Pick<Log, 'error'> | null = null;
let invariantBroken: (error: BrokenInvariant) => void = () => {};

/** Sets the log for internal errors, and the function that ends the process when an invariant is broken. Called once in a process. */
export function reportInternalErrors(to: Pick<Log, 'error'>, endProcess: (error: BrokenInvariant) => void): void {
  log = to;
  invariantBroken = endProcess;
}

/** The internal errors of this process, since it started. */
export function internalErrors(): Readonly<Partial<Record<Place, InternalErrors>>> {
  const now = performance.now();
  return Object.fromEntries([...tallies].map(([place, { count, lastAt, message }]) => [place, { count, ageMs: now - lastAt, message }]));
}

/** For metrics. */
export function internalErrorCounts(): Readonly<Partial<Record<Place, number>>> {
  return Object.fromEntries([...tallies].map(([place, { count }]) => [place, count]));
}

/** Counts an error and logs it. Never throws. */
export function internalError(place: Place, thrown: unknown): void {
  const now = performance.now();
  const tally = tallies.get(place) ?? { count: 0, lastAt: now, message: '', logged: 0, unlogged: 0, windowAt: now };
  tallies.set(place, tally);
  const { name, message, stack } = wordsOf(thrown);
  tally.count++;
  tally.lastAt = now;
  tally.message = `${name}: ${message}`.split('\n', 1)[0]?.slice(0, MESSAGE_CHARS_MAX) ?? name;
  if (now - tally.windowAt >= LOG_WINDOW_MS) {
    tally.windowAt = now;
    tally.logged = 0;
  }
  if (tally.logged >= LOGGED_MAX) {
    tally.unlogged++;
  } else {
    tally.logged++;
    const unlogged = tally.unlogged === 0 ? {} : { unlogged: tally.unlogged };
    tally.unlogged = 0;
    try {
      log?.error({ where: place, count: tally.count, ...unlogged, err: plain({ name, message, stack }) }, 'internal error');
    } catch {
      // The counter has it.
    }
  }
  if (thrown instanceof BrokenInvariant) invariantBroken(thrown);
}

/** For a catch clause: an error in `domain`, or at a place where only the call itself ends. Never throws. */
export function caught(domain: FailureDomain | Place, thrown: unknown): void {
  if (typeof domain === 'string') {
    internalError(domain, thrown);
    return;
  }
  internalError(domain.where, thrown);
  try {
    domain.fail();
  } catch (second) {
    internalError(domain.where, second);
  }
}

/**
 * Puts a boundary around the handler of an event or a timer: an error in it ends `domain`. Make it once for each handler, not
 * for each event. It passes the first four arguments on.
 */
export function guard<A extends readonly unknown[]>(domain: FailureDomain | Place, handler: (...args: A) => void): (...args: A) => void {
  const call = handler as unknown as (a?: unknown, b?: unknown, c?: unknown, d?: unknown) => void;
  const guarded = (a?: unknown, b?: unknown, c?: unknown, d?: unknown): void => {
    try {
      call(a, b, c, d);
    } catch (error) {
      caught(domain, error);
    }
  };
  return guarded as unknown as (...args: A) => void;
}

/** As `guard`, for a handler that all domains of a kind share: its first argument is the domain. */
export function guardEach<Domain extends FailureDomain, A>(handler: (domain: Domain, a: A) => void): (domain: Domain, a: A) => void {
  return (domain, a) => {
    try {
      handler(domain, a);
    } catch (error) {
      caught(domain, error);
    }
  };
}

/** Runs `step` within a boundary, so that the steps after it happen in any case. */
export function attempt(domain: FailureDomain | Place, step: () => void): void {
  try {
    step();
  } catch (error) {
    caught(domain, error);
  }
}

/** For a promise that nothing awaits: a rejection ends `domain`. */
export function unawaited(domain: FailureDomain | Place, work: Promise<unknown>): void {
  work.catch((error: unknown) => caught(domain, error));
}

/** True for errors of the language, of assertions, and of Node for wrong arguments: these are our bugs; other errors come from outside. */
export function isBug(error: unknown): boolean {
  return isNativeError(error) && OUR_FAULTS.has(error.name);
}

const OUR_FAULTS: ReadonlySet<string> = new Set([
  'TypeError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'AssertionError',
  'BrokenInvariant',
]);

/** An error without a constructor, from which the log would take the name. */
function plain(words: { name: string; message: string; stack: string }): object {
  return Object.assign(Object.create(null), words);
}

/** Any value can be thrown, also one whose properties throw. */
function wordsOf(thrown: unknown): { name: string; message: string; stack: string } {
  try {
    if (!isNativeError(thrown)) return { name: 'Thrown', message: String(thrown).slice(0, STACK_CHARS_MAX), stack: '' };
    return {
      name: String(thrown.name),
      message: String(thrown.message).slice(0, STACK_CHARS_MAX),
      stack: String(thrown.stack).slice(0, STACK_CHARS_MAX),
    };
  } catch {
    return { name: 'Thrown', message: 'the value that was thrown can not be read', stack: '' };
  }
}
