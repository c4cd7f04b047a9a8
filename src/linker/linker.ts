/**
 * The sidecar that wraps an application and collects its work. While the application starts, a home node is linked; when the
 * application accepts, all slots are lent, and from then on nodes open streams on them. It ends when it is told to (drain), when
 * it may retire, or with the application.
 */
import { unawaited } from '../boundary.ts';
import { formatHostPort, type HostPort } from '../config/host-port.ts';
import { hasKey } from '../config/route-key.ts';
import type { UnsaidHello } from '../link/hello.ts';
import type { InstanceReport } from '../link/instance-report.ts';
import type { Log } from '../log.ts';
import { AppPool } from './app-pool.ts';
import type { AppExit } from './app-process.ts';
import type { AppAddress } from './app-socket.ts';
import { Application, type ApplicationEvents, type LinkedApplication } from './application.ts';
import { AutoSearch } from './auto-search.ts';
import { InstanceControl } from './instance-control.ts';
import { newInstanceId } from './instance-id.ts';
import { Limit } from './limit.ts';
import { CONCURRENCY_MAX_DEFAULT, helloOf, type LinkerOptions, type LinkerTimes, timesOf } from './linker-options.ts';
import { Links } from './links.ts';
import { exitCodeOf, FOLLOWS, failureOf, type Leave, type Phase, TURN_AWAY_WITHIN_MS } from './phase.ts';
import { Reporter } from './reporter.ts';
import { Retire } from './retire.ts';
import { Slots } from './slots.ts';

/** How long the last bytes of an ended application may take to reach clients. */
const LAST_WORDS_MS = 1_000;

export class Linker {
  readonly instance: string;
  /** Resolves when the application accepts and its slots are lent; rejects when the linker ends before. */
  readonly ready: Promise<void>;
  /** How many requests the application gets at once. */
  readonly limit: Limit;
  /** The calls that the application may make to its linker. */
  readonly control: InstanceControl;
  readonly #log: Log;
  readonly #options: LinkerOptions;
  readonly #isOfKey: boolean;
  readonly #times: LinkerTimes;
  readonly #slots: Slots;
  readonly #pool: AppPool;
  readonly #auto: AutoSearch;
  readonly #links: Links;
  /** The hello of each dial has the current facts. */
  readonly #hello: { -readonly [key in keyof UnsaidHello]: UnsaidHello[key] };
  readonly #application: LinkedApplication;
  readonly #reporter = new Reporter(() => this.#links.report());
  readonly #retire: Retire;
  readonly #isReady = Promise.withResolvers<void>();
  readonly #leave = Promise.withResolvers<Leave>();
  readonly #emptied = Promise.withResolvers<void>();
  /** The application's last bytes are out. */
  readonly #lastWords = Promise.withResolvers<void>();
  /** It was told to end. */
  readonly #told = Promise.withResolvers<void>();
  #leaving: Leave | null = null;
  #phase: Phase = 'new';
  #drains = 0;
  /** When a node took it in for the first time. */
  #firstHomeAt: number | null = null;
  #readyNode: string | null = null;
  /** By when everything has to be home; performance.now() in ms. */
  #emptyBy = Number.POSITIVE_INFINITY;
  #deadline: NodeJS.Timeout | null = null;

  constructor(options: LinkerOptions) {
    const { proxies, concurrency, secret, proxyProtocol, tls, linkTiming: timing, linkVersionMin: versionMin, lookup } = options;
    this.#options = options;
    this.#isOfKey = hasKey(options.route);
    this.#times = timesOf(options);
    this.instance = options.instance ?? newInstanceId();
    this.ready = this.#isReady.promise;
    this.ready.catch(() => {});
    this.#log = options.log;
    this.#slots = new Slots(concurrency, (inUse) => this.#inUse(inUse));
    const most = options.concurrencyMax ?? Math.max(CONCURRENCY_MAX_DEFAULT, concurrency);
    this.limit = new Limit({ slots: this.#slots, most, log: options.log, moved: () => this.#limitMoved() });
    this.#pool = new AppPool(this.#slots, this.#times, proxyProtocol, {
      refused: (starved) => this.#refused(starved),
      stalls: () =>
        this.#log.info('the application gets a new connection for each stream: on kept ones it waits for acknowledgements (TCP_NODELAY)'),
      placeFree: () => this.#lookIfEmpty(),
      answered: () => this.#reporter.now(),
      said: (text) => this.limit.said(text),
    });
    const range = options.auto ?? { least: 1, most };
    this.#auto = new AutoSearch({ range, slots: this.#slots, limit: this.limit, pool: this.#pool, pid: () => this.#application.pid });
    this.#retire = new Retire(
      this.#times,
      () => (options.stays?.() === true ? 'stays' : this.#links.askRetire()),
      () => this.#retireUnasked(),
    );
    this.control = this.#controlled();
    this.#hello = helloOf(options, this.instance, most);
    this.#links = new Links({
      proxies,
      lookup,
      hello: this.#hello,
      secret,
      tls,
      timing,
      versionMin,
      slots: this.#slots,
      pool: this.#pool,
      log: this.#log,
      idleLinkTimeoutMs: this.#times.idleLinkTimeoutMs,
      events: {
        picture: () => ({
          state: this.#said(),
          active: this.#slots.inUse,
          answered: this.#pool.hasAnswered,
          order: this.#hello.order,
          ...this.limit.report,
          ...failureOf(this.#leaving, this.#pool.hasAnswered),
        }),
        newHome: () => {
          this.#firstHomeAt ??= performance.now();
          this.#retire.askAnother();
        },
        said: (text, heardAt) => this.limit.said(text, heardAt),
        lent: (node) => this.#lent(node),
        slotsHome: () => this.#lookIfEmpty(),
        newest: (yes, order) => {
          if (yes !== this.#retire.isNewest) options.newest?.(yes);
          this.#retire.newest(yes);
          if (order !== null) this.#numbered(order);
        },
        retireAnswer: (yes) => this.#retireAnswer(yes),
        turnedAway: () => this.#turnedAway(),
      },
    });
    const events: ApplicationEvents = {
      reserve: () => this.#pool.reserve(),
      accepts: (address) => this.#accepts(address),
      ended: (exit) => this.#ended(exit),
      tooSlow: (words) => this.#leave.resolve({ why: 'too slow', words }),
      unguarded: (reason) => this.#log.warn({ reason }, 'no shell watches over this linker: if it is killed, its application runs on'),
    };
    const asked = { ...options, ...this.#times, instance: this.instance, controlSaid: options.control?.said };
    this.#application = options.application?.(events) ?? new Application(asked, events);
  }

  /** Where the application accepts; null until it did. */
  get app(): HostPort | null {
    const { address } = this.#pool;
    return typeof address === 'function' ? null : address;
  }

  /** Why the instance has ended, where that is the application's failure. */
  get failure(): string | null {
    return failureOf(this.#leaving, this.#pool.hasAnswered).failure ?? null;
  }

  /** The step that a starting application has not done yet. Reads the process table. */
  get startingWords(): string | null {
    return this.#phase === 'starting' ? `the application ${this.#application.notReadyWords(' yet')}` : null;
  }

  /** Resolves with the exit code when all is over: 0 after a drain or a retirement, the application's code when it ended by itself. */
  async run(): Promise<number> {
    this.#transition('starting');
    this.#options.control?.serve(this.control);
    if (this.#options.auto !== undefined) this.#auto.start();
    this.#links.start();
    this.#application.start().catch((error: unknown) => this.#ended({ code: 1, words: `could not be started: ${String(error)}` }));
    const leave = await this.#leave.promise;
    this.#leaving = leave;
    await this.#empty(leave);
    await this.#stop(leave);
    this.#options.control?.close();
    if (leave.why === 'retire') await this.#linger();
    const code = exitCodeOf(leave);
    this.#log.info({ route: this.#options.route, instance: this.instance, code }, 'linker stopped');
    this.#isReady.reject(new Error(this.failure ?? 'the linker has ended'));
    return code;
  }

  /**
   * Leaves gracefully: streams in use are served to their end, within the drain timeout, or `withinMs` if that is less. A second call ends
   * them, and the application, at once.
   */
  drain(withinMs = this.#times.drainTimeoutMs): void {
    this.#drains++;
    this.#told.resolve();
    if (this.#drains === 1) {
      this.#log.info({ instance: this.instance }, 'linker draining');
      this.#leave.resolve({ why: 'drain' });
      this.#emptyWithin(Math.min(withinMs, this.#times.drainTimeoutMs));
    } else {
      this.#emptied.resolve();
      this.#application.kill();
    }
  }

  /** Asks for one more, newer instance of the route. */
  startAnother(): boolean {
    const asked = this.#links.askStart();
    this.#log.info({ instance: this.instance, asked }, 'another instance is wanted');
    return asked;
  }

  /** Passes a signal on to the application. */
  signal(name: NodeJS.Signals): void {
    this.#application.signal(name);
  }

  #controlled(): InstanceControl {
    const { route, version = null } = this.#options;
    return new InstanceControl({
      instance: this.instance,
      route,
      version,
      slots: this.#slots,
      limit: this.limit,
      connecting: () => this.#pool.connecting,
      state: () => this.#said(),
      isNewest: () => this.#retire.isNewest,
      search: () => this.#auto.start(),
      startAnother: () => this.startAnother(),
      leave: () => this.#drains === 0 && this.drain(),
    });
  }

  // ── while it runs ──

  #accepts(address: AppAddress): void {
    this.#pool.address = address;
    if (this.#phase !== 'starting' && this.#phase !== 'refusing') return;
    this.#transition('ready');
    this.#hello.readyAt ??= performance.now();
    this.#retire.start();
    this.#links.lend();
  }

  #lent(node: string): void {
    if (this.#readyNode !== null) return;
    this.#readyNode = node;
    const { route } = this.#options;
    this.#log.info({ route, instance: this.instance, app: this.#appSaid, node }, 'ready');
    this.#isReady.resolve();
  }

  /** The slots are called back before the node hears of the failed stream, so that it does not send the next one here. */
  #refused(starved: string | null): void {
    if (this.#phase !== 'ready') return;
    if (starved === null) this.#log.warn({ app: this.#appSaid }, 'the application does not accept connections');
    else this.#log.error({ app: this.#appSaid, reason: starved }, 'no connection to the application can be made');
    this.#transition('refusing');
    this.#links.withhold();
    this.#application.lookAgain();
  }

  #limitMoved(): void {
    const isPaused = this.#slots.limit === 0;
    this.#retire.paused(isPaused);
    const bySearch = this.limit.setBy === 'auto';
    // The application's word counts.
    if (!bySearch) this.#auto.stop();
    this.#pool.limitMoved();
    this.#links.limitMoved();
    this.#reporter.limitMoved(bySearch && !isPaused);
  }

  #inUse(inUse: number): void {
    this.#retire.inUse(inUse - this.#slots.quiet);
    this.#reporter.inUse(inUse);
  }

  #retireAnswer(yes: boolean): void {
    if (!this.#retire.answered(yes)) return;
    this.#log.info({ instance: this.instance }, 'linker retiring');
    this.#leave.resolve({ why: 'retire' });
  }

  #turnedAway(): void {
    const now = performance.now();
    const isOld = this.#options.startId === undefined || now - (this.#firstHomeAt ?? now) > TURN_AWAY_WITHIN_MS;
    if (isOld && !this.#isOfKey) return;
    this.#log.warn({ instance: this.instance }, 'a node turned the linker away: others have its place, or there is none for it');
    this.#leave.resolve({ why: 'turned away' });
    this.#emptyWithin(this.#times.drainTimeoutMs);
  }

  #retireUnasked(): void {
    this.#log.warn({ instance: this.instance }, 'the linker is idle and has no node to ask: it retires');
    this.#leave.resolve({ why: 'retire' });
  }

  /** Its connections end by themselves, after what it had written; what it has started is told to go. */
  #ended(exit: AppExit): void {
    if (this.#phase === 'stopping' || this.#phase === 'over') return;
    this.#log.warn({ code: exit.code }, `the application ${exit.words}`);
    if (exit.daemon === true) this.#options.impossible?.(`the application ${exit.words}`);
    this.#leave.resolve({ why: 'ended', exit });
    this.#emptyWithin(this.#times.drainTimeoutMs);
    unawaited('application', this.#application.stop(this.#times.stopTimeoutMs));
  }

  get #appSaid(): string | null {
    return this.app && formatHostPort(this.app);
  }

  // ── the end ──

  /** Resolves when nothing is in use any more, or its time is up. */
  async #empty(leave: Leave): Promise<void> {
    this.#transition('emptying');
    this.#retire.stop();
    this.#links.leave();
    this.#application.stopLooking();
    this.#pool.empty();
    if (leave.why === 'too slow') {
      const facts = { timeoutMs: this.#times.startTimeoutMs, reason: `it ${leave.words}` };
      this.#log.error(facts, 'the application has not accepted a connection in time');
      this.#application.kill();
    }
    this.#lookIfEmpty();
    await this.#emptied.promise;
  }

  async #stop({ why }: Leave): Promise<void> {
    this.#transition('stopping');
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#reporter.stop();
    this.#auto.stop();
    if (!this.#isEmpty) await this.#sayGoodbye();
    // As long as a link is there nobody starts another instance of the key: two must never run at once.
    if (this.#isOfKey) await this.#application.stop(this.#times.stopTimeoutMs);
    this.#pool.abort();
    this.#links.close(`the instance leaves: ${why}`);
    await this.#application.stop(this.#times.stopTimeoutMs);
    this.#transition('over');
  }

  /** Clients that are still served are out of time: the application ends their connections in its own way (a WebSocket with 1001). */
  async #sayGoodbye(): Promise<void> {
    if (!this.#application.endsIt) return;
    await this.#application.stop(this.#times.stopTimeoutMs);
    const overdue = setTimeout(() => this.#lastWords.resolve(), LAST_WORDS_MS);
    this.#lookIfEmpty();
    await this.#lastWords.promise;
    clearTimeout(overdue);
  }

  /** A supervisor would start this instance again if it just ended, so it waits for the signal to end. */
  async #linger(): Promise<void> {
    if (this.#drains > 0 || this.#times.lingerMs === 0) return;
    this.#log.info({ instance: this.instance, forMs: this.#times.lingerMs }, 'linker retired: it stays until it is told to end');
    const timer = setTimeout(() => this.#told.resolve(), this.#times.lingerMs);
    await this.#told.promise;
    clearTimeout(timer);
  }

  /** The earliest of several counts. */
  #emptyWithin(ms: number): void {
    const by = performance.now() + ms;
    if (by >= this.#emptyBy || this.#phase === 'stopping' || this.#phase === 'over') return;
    this.#emptyBy = by;
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#emptied.resolve(), ms);
  }

  /** Nothing is in use, and no connection to the application is left. */
  get #isEmpty(): boolean {
    return this.#slots.allAtHome && this.#pool.isEmpty;
  }

  #lookIfEmpty(): void {
    if (!this.#isEmpty) return;
    if (this.#phase === 'emptying') this.#emptied.resolve();
    else if (this.#phase === 'stopping') this.#lastWords.resolve();
  }

  /** The report to nodes about the instance. */
  #said(): InstanceReport['state'] {
    if (this.#phase === 'ready') return this.#slots.limit === 0 ? 'paused' : 'ready';
    return this.#phase === 'emptying' || this.#phase === 'stopping' || this.#phase === 'over' ? 'draining' : 'starting';
  }

  /** The directory has numbered the instance, so the clock of this host does not decide which instance is newest. */
  #numbered(order: number): void {
    if (this.#hello.order === order) return;
    this.#hello.order = order;
    // A node of 0.1 reads these.
    this.#hello.seq = order;
    this.#links.reportToAll();
  }

  #transition(to: Phase): void {
    if (!FOLLOWS[this.#phase].includes(to)) throw new Error(`a linker can't go from ${this.#phase} to ${to}`);
    this.#phase = to;
    this.#reporter.now();
  }
}
