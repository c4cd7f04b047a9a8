/** Plain numbers that the data path increments, and metrics read. Nothing here allocates for each request. */

/** Upper bounds in seconds, as Prometheus histograms name them; the last bucket is +Inf. */
export const HOLD_SECONDS_BOUNDS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60,
];

/** The same for requests: so fine that a median is right within a third. */
export const REQUEST_SECONDS_BOUNDS: readonly number[] = [
  0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5,
  7.5, 10, 15, 20, 30, 60,
];

export class Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[] = HOLD_SECONDS_BOUNDS) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(seconds: number): void {
    let i = 0;
    while (i < this.bounds.length && seconds > (this.bounds[i] as number)) i++;
    this.counts[i] = (this.counts[i] as number) + 1;
    this.sum += seconds;
  }

  /** Upper bound in seconds → observations, without the bounds that have none. */
  get seen(): Readonly<Record<string, number>> {
    const seen: Record<string, number> = {};
    for (const [i, count] of this.counts.entries()) if (count > 0) seen[String(this.bounds[i] ?? '+Inf')] = count;
    return seen;
  }
}

/** How long visits were held until they were served. */
export class WaitCounters {
  readonly hold = new Histogram();
  /** Waits that began when no instance was ready. */
  readonly coldStart = new Histogram();

  waited(seconds: number, cold: boolean): void {
    this.hold.observe(seconds);
    if (cold) this.coldStart.observe(seconds);
  }
}

export class RouteCounters extends WaitCounters {
  /** Responses by status code, ours and the application's. */
  readonly codes = new Map<number, number>();
  /** From the request to the end of its response; of clients that had one, ours or the application's. Not of tunnels, which last as long as they like. */
  readonly requests = new Histogram(REQUEST_SECONDS_BOUNDS);

  /** How often limits of instances that are at home here were changed, by whom. */
  readonly limitChanges = new Map<string, number>();
  /** Words of applications about their limits that could not be used. */
  wordsIgnored = 0;
  /** Clients that were refused because of an overload. */
  overloadRefused = 0;

  /** Requests that prefer an instance: it served them, another one did, or it is not there any more. */
  readonly affinity = { hit: 0, miss: 0, gone: 0 };

  /** How agents that are linked here have answered the starts that they were given. */
  readonly agentStarts = new Map<string, number>();

  agentAnswered(how: string): void {
    this.agentStarts.set(how, (this.agentStarts.get(how) ?? 0) + 1);
  }

  limitChanged(by: string, times: number): void {
    if (times > 0) this.limitChanges.set(by, (this.limitChanges.get(by) ?? 0) + times);
  }

  answered(code: number): void {
    this.codes.set(code, (this.codes.get(code) ?? 0) + 1);
  }
}
