/** The stages of a cold start: where the time of a waiting client goes. */
import type { StartTimes } from '../../cluster/cluster.ts';
import { Histogram } from './counters.ts';

/**
 * held ─ `job` ─▶ a scaler takes the job ─ `command` ─▶ it runs the command ─ `linked` ─▶ the instance is linked
 *      ─ `ready` ─▶ its application accepts ─ `first_byte` ─▶ the response begins
 */
export const COLD_STAGES = ['job', 'command', 'linked', 'ready', 'first_byte'] as const;

export type ColdStage = (typeof COLD_STAGES)[number];

/** ms of each stage; those of which nothing is known are left out, with the next known one longer by them. */
export type ColdStart = Readonly<Partial<Record<ColdStage, number>>>;

/** When an instance came to be, as far as this node knows: performance.now() in ms. */
export class Birth {
  readonly linkedAt = performance.now();
  /** It lent its first slot, at whatever node. */
  readyAt: number | null;
  /** Its first client's response was told to the log. */
  logged = false;
  /** How long its start took was told to the cluster. */
  told = false;
  #jobAt: number | null = null;
  #commandAt: number | null = null;

  /** `readyAt`: it was ready before it linked here. */
  constructor(readyAt: number | null = null) {
    this.readyAt = readyAt;
  }

  begun({ jobAgeMs, commandAgeMs }: StartTimes): void {
    const now = performance.now();
    this.#jobAt = now - jobAgeMs;
    this.#commandAt = now - commandAgeMs;
  }

  /** From its start until it was ready; null: that is not known. */
  get startMs(): number | null {
    return this.readyAt === null || this.#commandAt === null ? null : Math.max(0, this.readyAt - this.#commandAt);
  }

  /** Null for a client that came when the instance was ready. */
  stages(arrivedAt: number, firstByteAt: number): ColdStart | null {
    if (this.readyAt === null || arrivedAt >= this.readyAt) return null;
    const ends: Record<ColdStage, number | null> = {
      job: this.#jobAt,
      command: this.#commandAt,
      linked: this.linkedAt,
      ready: this.readyAt,
      first_byte: firstByteAt,
    };
    const stages: Partial<Record<ColdStage, number>> = {};
    let from = arrivedAt;
    for (const stage of COLD_STAGES) {
      const end = ends[stage];
      if (end === null) continue;
      // A client that came later than the job was taken did not wait for that.
      stages[stage] = Math.max(0, end - from);
      from = Math.max(from, end);
    }
    return stages;
  }
}

/** For the log. */
export function roundedStages(stages: ColdStart): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(stages).map(([stage, ms]) => [stage, Math.round(ms * 10) / 10]));
}

/** The header that tells it (W3C Server Timing). */
export function serverTiming(stages: ColdStart): string {
  const entries = Object.entries(stages).map(([stage, ms]) => `pullproxy-${stage};dur=${ms.toFixed(1)}`);
  return `Server-Timing: ${entries.join(', ')}\r\n`;
}

/** How long the stages took, over all clients that waited for an instance to be started. */
export class ColdStageCounters {
  readonly histograms: Readonly<Record<ColdStage, Histogram>> = {
    job: new Histogram(),
    command: new Histogram(),
    linked: new Histogram(),
    ready: new Histogram(),
    first_byte: new Histogram(),
  };

  observe(stages: ColdStart): void {
    for (const stage of COLD_STAGES) {
      const ms = stages[stage];
      if (ms !== undefined) this.histograms[stage].observe(ms / 1_000);
    }
  }
}
