import type { StartDirectory } from '../../../src/cluster/directory.ts';
import { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import { FAILURES_MAX } from '../../../src/cluster/start-limits.ts';
import type { StartFailure, StartPlan } from '../../../src/cluster/starts.ts';
import type { RouteRecord } from '../../../src/config/route-settings.ts';

type Starts = Pick<StartDirectory, 'startPlan' | 'beginStarts' | 'endStart' | 'wantInstances' | 'route'>;

/** One route in memory, whose clients and instances a test sets as it likes. */
export class FakeDirectory implements Starts {
  held = 0;
  /** Concurrency of each ready instance. */
  instances: number[] = [];
  concurrency: number | null = 10;
  settings: RouteRecord | null = {};
  readonly starting = new Set<string>();
  /** Every id that was ever entered, in order. */
  readonly entered: string[] = [];
  plans = 0;
  wanted = 0;
  /** The instances that a restart replaces. */
  old = 0;
  /** Why starts failed since one last linked. */
  failures: string[] = [];
  pauseMs = 0;
  readonly #begunAt: number[] = [];
  #failedAt: number | null = null;
  /** Called before the comparison in `beginStarts`: what others do in between. */
  meanwhile: () => void = () => {};
  unavailable: Error | null = null;

  async startPlan(): Promise<StartPlan> {
    if (this.unavailable) throw this.unavailable;
    this.plans += 1;
    const slots = this.instances.reduce((sum, concurrency) => sum + concurrency, 0);
    const { held, concurrency, wanted, old } = this;
    const ages = this.#begunAt.map((at) => performance.now() - at).filter((age) => age < 60_000);
    const [ready, starting] = [this.instances.length, this.starting.size];
    return {
      held,
      promised: 0,
      serving: null,
      slots,
      free: 0,
      ready,
      starting,
      paused: 0,
      leaving: 0,
      concurrency,
      begun: this.entered.length,
      lastBegunMs: ages.at(-1) ?? null,
      begunInMinute: ages.length,
      oldestBegunMs: ages[0] ?? null,
      wanted,
      old,
      trouble:
        this.failures.length === 0
          ? null
          : { failures: this.failures.length, reason: this.failures.at(-1) ?? '', ageMs: 0, retryInMs: this.retryInMs },
    };
  }

  async beginStarts(
    _route: string,
    ids: readonly string[],
    _timeoutMs: number,
    plan: Pick<StartPlan, 'ready' | 'starting' | 'begun'>,
    { wanted = 0 }: { readonly wanted?: number } = {},
  ): Promise<boolean> {
    if (this.unavailable) throw this.unavailable;
    this.meanwhile();
    if (plan.ready + plan.starting !== this.instances.length + this.starting.size || plan.begun !== this.entered.length) return false;
    for (const id of ids) this.starting.add(id);
    this.entered.push(...ids);
    this.#begunAt.push(...ids.map(() => performance.now()));
    this.wanted -= wanted;
    return true;
  }

  async endStart(_route: string, id: string, failure?: StartFailure): Promise<boolean> {
    if (this.unavailable) throw this.unavailable;
    if (!this.starting.delete(id)) return false;
    if (failure === undefined) return true;
    this.failures.push(failure.reason);
    this.#failedAt = performance.now();
    if (failure.wantedAgain) this.wanted += 1;
    return true;
  }

  async wantInstances(_route: string, count: number): Promise<void> {
    if (this.unavailable) throw this.unavailable;
    this.wanted += count;
  }

  /** As in the real one, a pause follows after several failures. */
  get retryInMs(): number {
    if (this.failures.length < FAILURES_MAX) return 0;
    return this.#failedAt === null ? this.pauseMs : Math.max(0, this.#failedAt + this.pauseMs - performance.now());
  }

  async route(): Promise<RouteRecord | null> {
    return this.settings;
  }

  /** A start links: its clients are served. */
  link(id: string, concurrency = this.concurrency ?? 10): void {
    this.starting.delete(id);
    this.failures = [];
    this.instances.push(concurrency);
    this.held = Math.max(0, this.held - concurrency);
  }
}

/** Any number of such routes, behind the methods of one directory. */
export class FakeDirectories implements Starts, Pick<StartDirectory, 'routes' | 'endedStarts' | 'takeEnded' | 'startLinked' | 'agents'> {
  /** None is linked. */
  readonly agents: StartDirectory['agents'] = new MemoryDirectory().agents;
  readonly #routes = new Map<string, FakeDirectory>();

  of(route: string): FakeDirectory {
    const known = this.#routes.get(route) ?? new FakeDirectory();
    this.#routes.set(route, known);
    return known;
  }

  startPlan: Starts['startPlan'] = (route) => this.of(route).startPlan();
  beginStarts: Starts['beginStarts'] = (route, ...rest) => this.of(route).beginStarts(route, ...rest);
  endStart: Starts['endStart'] = (route, ...rest) => this.of(route).endStart(route, ...rest);
  wantInstances: Starts['wantInstances'] = (route, count) => this.of(route).wantInstances(route, count);
  route: Starts['route'] = (route) => this.of(route).route();

  /** Its starts end without a trace: the real directories keep how they ended. */
  endedStarts: StartDirectory['endedStarts'] = async () => [];
  takeEnded: StartDirectory['takeEnded'] = async () => [];
  startLinked: StartDirectory['startLinked'] = async () => false;

  async routes(): Promise<ReadonlyMap<string, RouteRecord>> {
    return new Map([...this.#routes].flatMap(([name, { settings }]) => (settings ? [[name, settings] as const] : [])));
  }
}
