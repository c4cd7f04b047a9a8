/**
 * An agent: one linker process for many instances of a machine. Each instance is a `Linker` of its own, with its own application, slots and links.
 * The scaler decides how many there are in the cluster: its starts come through a node. Only the least number is kept by the agent itself.
 */
import { guard, unawaited } from '../boundary.ts';
import { AGENT_FAILURE_CHARS_MAX } from '../config/agent-limits.ts';
import { routeOf } from '../config/route-key.ts';
import { messageOf } from '../errors.ts';
import type { AgentReport, AgentStart } from '../link/agent-words.ts';
import type { Log } from '../log.ts';
import type { AgentHome, AgentHomeEvents, AnswerStart } from './agent-home.ts';

/** What an agent needs of a linker. */
export interface AgentInstance {
  readonly instance: string;
  /** Rejects when it has ended before it was ready. */
  readonly ready: Promise<void>;
  /** It gets no more requests. */
  readonly isLeaving: boolean;
  /** Resolves when all of it is over. */
  run(): Promise<number>;
  drain(withinMs?: number): void;
}

export interface InstanceOrder {
  /** The route, or a key of it. */
  readonly route: string;
  /** Absent: the agent starts it of itself. */
  readonly startId?: string;
  /** The instance is one of the least number: it does not ask whether it may leave. */
  stays(): boolean;
}

export interface AgentOptions {
  readonly route: string;
  /** So many run here in any case. */
  readonly least: number;
  readonly most: number;
  /** The name of this machine. */
  readonly machine?: string;
  begin(order: InstanceOrder): Promise<AgentInstance>;
  home(events: AgentHomeEvents): Pick<AgentHome, 'start' | 'changed' | 'askStart' | 'close'>;
  readonly log: Log;
}

interface Running {
  readonly startId: string | undefined;
  readonly answer: AnswerStart | null;
  instance: AgentInstance | null;
  isReady: boolean;
}

/** An instance of the least number that ended sooner has failed, whatever its exit code. */
const PROVED_AFTER_MS = 10_000;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 30_000;

/** How long the next instance of the least number waits after so many failures in a row. */
export function retryMs(failures: number): number {
  return failures === 0 ? 0 : Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures - 1, 10));
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #home: ReturnType<AgentOptions['home']>;
  readonly #running = new Set<Running>();
  readonly #over = Promise.withResolvers<void>();
  #state: 'serving' | 'draining' = 'serving';
  /** Instances of the least number that ended too soon, one after the other. */
  #failures = 0;
  /** Why the last instance ended before it was ready, and performance.now() then; null: one has become ready since. */
  #failure: { readonly reason: string; readonly at: number } | null = null;
  #retry: NodeJS.Timeout | null = null;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#home = options.home({ picture: () => this.report, start: (start, answer) => this.#start(start, answer) });
  }

  get report(): AgentReport {
    const { least, most, machine } = this.#options;
    const running = this.#running.size;
    const starting = [...this.#running].filter(({ isReady }) => !isReady).length;
    return {
      room: this.#state === 'serving' ? Math.max(0, most - running) : 0,
      running,
      starting,
      least,
      most,
      ...(machine === undefined ? {} : { machine }),
      ...(this.#failure === null
        ? {}
        : { failure: { reason: this.#failure.reason, ageMs: Math.round(performance.now() - this.#failure.at) } }),
    };
  }

  /** Resolves when the agent was drained and all instances are over. */
  run(): Promise<void> {
    this.#home.start();
    this.#keepLeast();
    return this.#over.promise;
  }

  /** Takes no more starts, and lets all instances finish their requests. A second call ends them at once. */
  drain(withinMs?: number): void {
    if (this.#state === 'serving') this.#options.log.info({ instances: this.#running.size }, 'agent draining');
    this.#state = 'draining';
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#home.changed();
    for (const { instance } of this.#running) instance?.drain(withinMs);
    this.#lookIfOver();
  }

  /** Asks for one more, newer instance of the route, wherever there is room. */
  startAnother(): boolean {
    const asked = this.#home.askStart();
    this.#options.log.info({ asked }, 'another instance is wanted');
    return asked;
  }

  #start({ startId, route }: AgentStart, answer: AnswerStart): void {
    const refusal = this.#refusal(route);
    // Its scaler may have been interrupted, and says it again.
    if ([...this.#running].some((one) => one.startId === startId)) answer('taken');
    else if (refusal !== null) answer('refused', refusal);
    else {
      answer('taken');
      this.#begin({ route, startId }, answer);
    }
  }

  #refusal(route: string): string | null {
    if (this.#state === 'draining') return 'the agent is leaving';
    if (routeOf(route) !== this.#options.route) return 'the agent is for another route';
    return this.#running.size >= this.#options.most ? 'the agent has no room' : null;
  }

  #begin(order: Pick<InstanceOrder, 'route' | 'startId'>, answer: AnswerStart | null): void {
    const running: Running = { startId: order.startId, answer, instance: null, isReady: false };
    this.#running.add(running);
    this.#home.changed();
    unawaited('application', this.#live(running, { ...order, stays: () => this.#isLeast() }));
  }

  async #live(running: Running, order: InstanceOrder): Promise<void> {
    const { log } = this.#options;
    const { route, startId } = order;
    const beganAt = performance.now();
    try {
      const instance = await this.#options.begin(order);
      running.instance = instance;
      const served = instance.ready.then(
        () => {
          log.info({ route, startId, instance: instance.instance }, 'instance serves');
          this.#ready(running);
        },
        (error: unknown) => this.#notReady(running, messageOf(error)),
      );
      unawaited('application', served);
      if (this.#state === 'draining') instance.drain();
      const code = await instance.run();
      log.info({ route, startId, instance: instance.instance, code }, 'instance has left');
    } catch (error) {
      log.error({ route, startId, reason: messageOf(error) }, 'an instance could not be started');
      this.#notReady(running, messageOf(error));
    }
    this.#ended(running, performance.now() - beganAt);
  }

  #ready(running: Running): void {
    running.isReady = true;
    this.#failure = null;
    this.#home.changed();
  }

  /** An agent that leaves gives its start back, and the application has not failed. */
  #notReady({ answer }: Running, reason: string): void {
    if (this.#state === 'draining') answer?.('refused', 'the agent is leaving');
    else {
      this.#failure = { reason: reason.slice(0, AGENT_FAILURE_CHARS_MAX), at: performance.now() };
      answer?.('failed', reason);
    }
  }

  #ended(running: Running, livedMs: number): void {
    this.#running.delete(running);
    this.#home.changed();
    if (livedMs >= PROVED_AFTER_MS) this.#failures = 0;
    else if (running.startId === undefined) this.#failures++;
    this.#keepLeast();
    this.#lookIfOver();
  }

  #lookIfOver(): void {
    if (this.#state !== 'draining' || this.#running.size > 0) return;
    this.#home.close('the agent leaves');
    this.#over.resolve();
  }

  // ── the least number ──

  get #staying(): number {
    return [...this.#running].filter(({ instance }) => instance?.isLeaving !== true).length;
  }

  #isLeast(): boolean {
    return this.#state === 'serving' && this.#staying <= this.#options.least;
  }

  #keepLeast(): void {
    const { route, least, most } = this.#options;
    const missing = Math.min(least - this.#staying, most - this.#running.size);
    if (this.#state !== 'serving' || this.#retry !== null || missing <= 0) return;
    const waitMs = retryMs(this.#failures);
    const due = guard('timer', () => {
      this.#retry = null;
      const now = Math.min(least - this.#staying, most - this.#running.size);
      for (let begun = 0; begun < now; begun++) this.#begin({ route }, null);
    });
    this.#retry = setTimeout(due, waitMs);
  }
}
