/**
 * Which failures a fault explains. Strictly: the promise is that nothing is lost but what was inside a process that was killed, or
 * seemed dead to its peers for seconds.
 */
import type { Failure } from './clients.ts';
import type { Fault } from './world.ts';

/** A link that brings nothing for 3 s is dead; its last sign of life may have come a second before the silence began. */
const FOUND_DEAD_MS = 1_900;
/** What a kill or a break has done is noticed by others when the machine gives them the time to: it is a crowded one. */
const NOTICED_MS = 500;

interface Harm {
  /** At this node only; null: at any. */
  readonly node: number | null;
  /** So many requests at most. */
  readonly most: number;
  readonly fits: (failure: Failure) => boolean;
}

export interface Verdict {
  /** What each fault has cost, by its name and the failure's reason. */
  readonly explained: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly unexplained: readonly Failure[];
}

/** `concurrency`: so many requests an instance has at once, and no more can be lost with it. */
export function judge(failures: readonly Failure[], faults: readonly Fault[], concurrency: number): Verdict {
  const harms = new Map(faults.map((fault) => [fault, harmOf(fault, concurrency)]));
  const left = new Map(faults.map((fault) => [fault, harms.get(fault)?.most ?? 0]));
  const explained: Record<string, Record<string, number>> = {};
  const unexplained: Failure[] = [];
  for (const failure of failures) {
    const fault = faults.find((one) => (left.get(one) ?? 0) > 0 && explains(one, harms.get(one) ?? null, failure));
    if (fault === undefined) {
      unexplained.push(failure);
      continue;
    }
    left.set(fault, (left.get(fault) ?? 0) - 1);
    explained[fault.what] ??= {};
    const reasons = explained[fault.what] as Record<string, number>;
    reasons[failure.why] = (reasons[failure.why] ?? 0) + 1;
  }
  return { explained, unexplained };
}

/** The request was under way when the fault struck, or was given to what it had struck before anybody could know. */
function explains(fault: Fault, harm: Harm | null, failure: Failure): boolean {
  if (harm === null || !harm.fits(failure)) return false;
  const elsewhere = harm.node !== null && harm.node !== failure.node;
  if (elsewhere && !(fault.relays && isCutOff(failure))) return false;
  return failure.from <= fault.until + NOTICED_MS && failure.until >= fault.from;
}

/** Null: it may cost nothing. */
function harmOf({ what, node, from, until }: Fault, concurrency: number): Harm | null {
  const seemedDead = until - from >= FOUND_DEAD_MS;
  switch (what) {
    case 'kill -9 a node':
      // From the kill on nobody answers there: what was under way sees its connection break. Whoever comes later is turned away.
      return { node, most: Number.POSITIVE_INFINITY, fits: (failure) => (failure.node === node ? isBroken(failure) : isCutOff(failure)) };
    case 'freeze a node':
      return seemedDead ? { node, most: Number.POSITIVE_INFINITY, fits: (failure) => isBroken(failure) || isCutOff(failure) } : null;
    case 'half-open links of a node':
      // What was swallowed can't come later: the links break when the way is open again, if not before.
      return { node, most: Number.POSITIVE_INFINITY, fits: isCutOff };
    case 'kill -9 a linker':
      return { node: null, most: concurrency, fits: isCutOff };
    case 'freeze a linker':
      return seemedDead ? { node: null, most: concurrency, fits: isCutOff } : null;
    default:
      return null;
  }
}

/** The client's connection to its node broke. */
function isBroken({ why }: Failure): boolean {
  return /ECONNRESET|EPIPE|socket hang up|aborted/.test(why);
}

/**
 * The node lost the instance: it says so, or breaks off an answer that has begun. What may be sent again is sent again, and does not fail.
 */
function isCutOff({ why, maySendAgain }: Failure): boolean {
  return why.startsWith('broken answer') || (!maySendAgain && /^502 .*connection_terminated/.test(why));
}
