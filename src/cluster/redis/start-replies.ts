/** Reads what scripts about starts reply, whoever wrote it. */
import type { EndedStart, StartPlan, StartTimes } from '../starts.ts';
import { startIdOf } from '../values.ts';
import { list, number, present, readTrouble, tuples } from './replies.ts';

export function readPlan(reply: unknown): StartPlan {
  const parts = list(reply);
  const at = (index: number): number => number(parts[index]);
  return {
    held: at(0),
    promised: at(1),
    slots: at(2),
    free: at(3),
    ready: at(4),
    starting: at(5),
    concurrency: present(parts[6]),
    begun: at(7),
    lastBegunMs: present(parts[8]),
    begunInMinute: at(9),
    oldestBegunMs: present(parts[10]),
    wanted: at(11),
    old: at(12),
    serving: at(13),
    paused: at(15),
    leaving: at(16),
    heldExtra: at(17),
    wantedExtra: at(18),
    trouble: readTrouble(parts[14]),
  };
}

export function readStartTimes(reply: unknown): StartTimes | null {
  const [jobAgeMs, commandAgeMs] = list(reply);
  return jobAgeMs === undefined ? null : { jobAgeMs: number(jobAgeMs), commandAgeMs: number(commandAgeMs) };
}

/** The field of an end, see keys.ts. */
export function endedField({ startId, how }: EndedStart): string {
  return how === 'lost' ? `${LOST}${startId}` : startId;
}

export function readEnded(reply: unknown): EndedStart[] {
  return tuples(reply, 2).flatMap(([field, said]) => {
    const startId = startIdOf(String(field).replace(LOST, ''));
    const how = ENDS.find((one) => one === said);
    return startId === null || how === undefined ? [] : [{ startId, how }];
  });
}

const LOST = 'lost:';
const ENDS: readonly EndedStart['how'][] = ['linked', 'command_failed', 'ended_early', 'not_linked', 'turned_away', 'lost'];
