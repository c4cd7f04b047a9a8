import type { StartDirectory, StartPlan } from '../../../src/cluster/directory.ts';
import type { RouteRecord } from '../../../src/config/route-settings.ts';

type Starts = Pick<StartDirectory, 'startPlan' | 'beginStarts' | 'endStart' | 'route'>;

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
  /** Called before the comparison in `beginStarts`: what others do in between. */
  meanwhile: () => void = () => {};
  unavailable: Error | null = null;

  async startPlan(): Promise<StartPlan> {
    if (this.unavailable) throw this.unavailable;
    this.plans += 1;
    const slots = this.instances.reduce((sum, concurrency) => sum + concurrency, 0);
    const { held, concurrency } = this;
    return { held, promised: 0, slots, free: 0, ready: this.instances.length, starting: this.starting.size, concurrency };
  }

  async beginStarts(
    _route: string,
    ids: readonly string[],
    _timeoutMs: number,
    plan: Pick<StartPlan, 'ready' | 'starting'>,
  ): Promise<boolean> {
    if (this.unavailable) throw this.unavailable;
    this.meanwhile();
    if (plan.ready + plan.starting !== this.instances.length + this.starting.size) return false;
    for (const id of ids) this.starting.add(id);
    this.entered.push(...ids);
    return true;
  }

  async endStart(_route: string, id: string): Promise<void> {
    if (this.unavailable) throw this.unavailable;
    this.starting.delete(id);
  }

  async route(): Promise<RouteRecord | null> {
    return this.settings;
  }

  /** A start links: its clients are served. */
  link(id: string, concurrency = this.concurrency ?? 10): void {
    this.starting.delete(id);
    this.instances.push(concurrency);
    this.held = Math.max(0, this.held - concurrency);
  }
}

/** Any number of such routes, behind the methods of one directory. */
export class FakeDirectories implements Starts, Pick<StartDirectory, 'routes'> {
  readonly #routes = new Map<string, FakeDirectory>();

  of(route: string): FakeDirectory {
    const known = this.#routes.get(route) ?? new FakeDirectory();
    this.#routes.set(route, known);
    return known;
  }

  startPlan: Starts['startPlan'] = (route) => this.of(route).startPlan();
  beginStarts: Starts['beginStarts'] = (route, ...rest) => this.of(route).beginStarts(route, ...rest);
  endStart: Starts['endStart'] = (route, id) => this.of(route).endStart(route, id);
  route: Starts['route'] = (route) => this.of(route).route();

  async routes(): Promise<ReadonlyMap<string, RouteRecord>> {
    return new Map([...this.#routes].flatMap(([name, { settings }]) => (settings ? [[name, settings] as const] : [])));
  }
}
