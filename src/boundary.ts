/**
 * Failure domains: an error of ours ends the one thing in which it happened, and the process goes on.
 *
 * A boundary stands where an event enters our code: a socket's event, a frame, a timer, a message. It catches what is thrown, counts it,
 * logs it with its stack, and ends its domain. What no boundary catches is caught by cli/process/last-resort.ts.
 */
import { isNativeError } from 'node:util/types';
import type { Log } from './log.ts';

/** Where boundaries stand, and what each of them ends: the values of `pullproxy_internal_errors_total{where}`. */
export const PLACES = {
  listener: 'a connection that is being accepted: it is closed',
  client: 'a connection of a client: it is closed, and its requests end',
  visit: 'one request, or one TCP connection: its client gets a 500, or a broken connection when the answer has begun',
  link: 'the link between a linker and a node: it is closed, its slots go home to the linker, which dials again',
  application: "a linker's connection to its application, or its process: the connection is closed",
  directory: 'one answer of Redis: it is dropped, and asked for again',
  bell: 'one message from another node: it is dropped, and the sweep finds out by itself',
  job: 'one startup job: it fails, and is tried again',
  command: 'one run of a startup command: it counts as failed',
  admin: 'one request at the admin port: it is answered with a 500',
  worker: 'one message between a supervisor and its workers: it is dropped',
  timer: 'one tick of a timer: the next one comes',
  observer: 'one line of the access log, or one span: it is lost',
  file: 'one look at files that may have changed: the former ones stay',
  unknown: 'nobody knows: the process drains for a few seconds and ends with exit code 70',
} as const satisfies Record<string, string>;

export type Place = keyof typeof PLACES;

/** What an error inside it ends. */
export interface FailureDomain {
  readonly where: Place;
  /** Ends it, in whatever state the error has left it. Other domains must not notice. */
  fail(): void;
}

/** A rule of ours is broken that no domain's end can restore: the process must end, in order. */
export class BrokenInvariant extends Error {
  override readonly name = 'BrokenInvariant';
}

/** What a process knows of its internal errors at one place. */
export interface InternalErrors {
  readonly count: number;
  /** ms since the last one. */
  readonly ageMs: number;
  /** Of the last one, one line. */
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

/** Of each place so many are logged in LOG_WINDOW_MS: an error that comes with each request must not fill the disk. */
const LOGGED_MAX = 10;
const LOG_WINDOW_MS = 60_000;
/** Messages and stacks can carry what strangers sent. */
const STACK_CHARS_MAX = 8_192;
const MESSAGE_CHARS_MAX = 200;

const tallies = new Map<Place, Tally>();
let log: Pick<Log, 'error'> | null = null;
let invariantBroken: (error: BrokenInvariant) => void = () => {};

/** Where internal errors are logged, and who ends the process when an invariant is broken. Once in a process. */
export function reportInternalErrors(to: Pick<Log, 'error'>, endProcess: (error: BrokenInvariant) => void): void {
  log = to;
  invariantBroken = endProcess;
}

/** Of this process, since it started. */
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
      // The counter tells of it.
    }
  }
  if (thrown instanceof BrokenInvariant) invariantBroken(thrown);
}

/** For a catch clause: an error in `domain`, or at a place where nothing but the call itself ends. Never throws. */
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
 * The handler of an event, or of a timer, with a boundary around it: what it throws ends `domain`. To be made once for each handler, not
 * for each event. Of its arguments the first four are passed on.
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

/** Runs `step` within a boundary, where one thing of several must not keep the others from happening. */
export function attempt(domain: FailureDomain | Place, step: () => void): void {
  try {
    step();
  } catch (error) {
    caught(domain, error);
  }
}

/** Work that nobody waits for: a rejection ends `domain`. */
export function unawaited(domain: FailureDomain | Place, work: Promise<unknown>): void {
  work.catch((error: unknown) => caught(domain, error));
}

/** Thrown by the language, by an assertion, or by Node for wrong arguments: a fault of ours, where other errors are the world's. */
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

/** The log takes the name of an error from its constructor, where it has one. */
function plain(words: { name: string; message: string; stack: string }): object {
  return Object.assign(Object.create(null), words);
}

/** Anything can be thrown, also what throws when it is looked at. */
function wordsOf(thrown: unknown): { name: string; message: string; stack: string } {
  try {
    if (!isNativeError(thrown)) return { name: 'Thrown', message: String(thrown).slice(0, STACK_CHARS_MAX), stack: '' };
    return {
      name: String(thrown.name),
      message: String(thrown.message).slice(0, STACK_CHARS_MAX),
      stack: String(thrown.stack).slice(0, STACK_CHARS_MAX),
    };
  } catch {
    return { name: 'Thrown', message: 'what was thrown can not be read', stack: '' };
  }
}
