/**
 * Makes events of this process's log lines and brings them to the cluster's event log. What repeats is told once a minute, with how often it
 * happened; while the directory is away, events wait here.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { guard, unawaited } from '../boundary.ts';
import { listenToLog } from '../log.ts';
import { BoundedMap } from '../memory/bounded-map.ts';
import { printableLines } from '../printable.ts';
import { rowOf } from './catalogue.ts';
import { type ClusterEvent, EVENT_TEXT_CHARS_MAX, type EventLevel, type EventLog, type NewEvent } from './event.ts';
import type { Row } from './row.ts';

/** The same about the same node and route is told again after this. */
const AGAIN_MS = 60_000;
/** Things that are remembered as told. */
const TOLD_MAX = 1_000;
/** Events that wait for the directory; beyond it the oldest are dropped. */
const WAITING_MAX = 500;
/** New events of one process in a minute; further ones are only counted. */
const PER_MINUTE_MAX = 120;
const FLUSH_MS = 1_000;
const FACT_CHARS_MAX = 160;
const WARN = 40;
const ERROR = 50;

interface Told {
  at: number;
  /** Since then. */
  more: number;
  readonly make: (count: number) => NewEvent;
}

interface Waiting {
  readonly event: NewEvent;
  readonly at: number;
}

/** The directory, which has the event log. */
interface Destination {
  readonly connected: boolean;
  readonly eventLog: EventLog;
}

export class EventRecorder {
  readonly #source: string;
  #to: Destination | null = null;
  readonly #now: () => number;
  readonly #told = new BoundedMap<string, Told>(TOLD_MAX);
  readonly #counts = new Map<string, number>();
  #waiting: Waiting[] = [];
  #left = PER_MINUTE_MAX;
  #leftAt = 0;
  #sending = false;
  readonly #timer: NodeJS.Timeout;

  /** `source`: a node's id, or what a process calls itself. `now`: monotonic ms. */
  constructor(source: string, now: () => number = () => performance.now()) {
    this.#source = source;
    this.#now = now;
    listenToLog((level, message, facts) => this.take(level, message, facts));
    const tick = guard('timer', () => this.#tick());
    this.#timer = setInterval(tick, FLUSH_MS).unref();
  }

  /** Warnings and errors that this process has logged: `LEVEL CODE` → how often. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  /** The events that have not reached the directory, as if they had. */
  get waiting(): ClusterEvent[] {
    const offset = Date.now() - this.#now();
    return this.#waiting.map(({ event: { lateMs: _, ...event }, at }, i) => {
      const ms = Math.round(at + offset);
      return { ...event, id: `${ms}-${i}`, at: ms };
    });
  }

  /** A line of the log; `level` as pino counts. */
  take(level: number, message: string, facts: Readonly<Record<string, unknown>>): void {
    const row = rowOf(message, shown(facts.reason));
    if (row === null && level < WARN) return;
    const code = row?.code ?? 'other';
    if (level >= WARN) {
      const counted = `${row?.level ?? levelOf(level)} ${code}`;
      this.#counts.set(counted, (this.#counts.get(counted) ?? 0) + 1);
    }
    const node = textOf(facts.node);
    const route = textOf(facts.route);
    const key = [code, node, route, code === 'other' ? message : ''].join(' ');
    const told = this.#told.get(key);
    const now = this.#now();
    // An event that ends a trouble is told each time: otherwise the trouble would seem to go on.
    const ended = this.#toldOf(row?.ends ?? []);
    if (told !== undefined && now - told.at < AGAIN_MS && ended.length === 0) {
      told.more++;
      return;
    }
    const make = (count: number): NewEvent => ({
      code,
      level: row?.level ?? levelOf(level),
      source: this.#source,
      node,
      route,
      text: sentence(row, message, facts),
      count,
      lateMs: 0,
    });
    this.#told.set(key, { at: now, more: 0, make });
    this.#tell(make((told?.more ?? 0) + 1));
    // A trouble that has ended may come again at once.
    for (const one of ended) this.#told.delete(one);
  }

  /** The keys of what was told with these codes. */
  #toldOf(codes: readonly string[]): string[] {
    if (codes.length === 0) return [];
    return [...this.#told.keys()].filter((key) => codes.includes(key.slice(0, key.indexOf(' '))));
  }

  /** Events of the directory; while it is away, what this process could not tell it yet. */
  async read(
    directory: Destination,
    after: string | null,
    max: number,
  ): Promise<{ readonly events: readonly ClusterEvent[]; readonly now: number; readonly isOwn: boolean }> {
    if (!directory.connected) return { events: this.waiting.slice(-max), now: Date.now(), isOwn: true };
    return { ...(await directory.eventLog.since(after, max)), isOwn: false };
  }

  /** Where events go from now on. */
  sendTo(to: Destination): void {
    this.#to = to;
  }

  /** Sends what waits now, and waits for it no longer than FLUSH_MS. */
  async flush(): Promise<void> {
    await Promise.race([this.#flush(), delay(FLUSH_MS, undefined, { ref: false })]);
  }

  close(): void {
    clearInterval(this.#timer);
    listenToLog(null);
  }

  #tell(event: NewEvent): void {
    const now = this.#now();
    if (now - this.#leftAt > 60_000) {
      this.#leftAt = now;
      this.#left = PER_MINUTE_MAX;
    }
    if (this.#left-- <= 0) return;
    this.#waiting.push({ event, at: now });
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
  }

  #tick(): void {
    const now = this.#now();
    for (const told of this.#told.values()) {
      if (told.more === 0 || now - told.at < AGAIN_MS) continue;
      this.#tell(told.make(told.more));
      told.at = now;
      told.more = 0;
    }
    unawaited('timer', this.#flush());
  }

  async #flush(): Promise<void> {
    const to = this.#to;
    if (to === null || this.#sending || this.#waiting.length === 0 || !to.connected) return;
    this.#sending = true;
    const sent = this.#waiting;
    this.#waiting = [];
    try {
      const now = this.#now();
      await to.eventLog.append(sent.map(({ event, at }) => ({ ...event, lateMs: Math.round(now - at) })));
    } catch {
      this.#waiting = [...sent, ...this.#waiting].slice(-WAITING_MAX);
    } finally {
      this.#sending = false;
    }
  }
}

function levelOf(level: number): EventLevel {
  return level >= ERROR ? 'error' : level >= WARN ? 'warning' : 'note';
}

function sentence(row: Row | null, message: string, facts: Readonly<Record<string, unknown>>): string {
  const say = (fact: string): string => (fact === 'failure' ? message : shown(facts[fact]));
  const text = row === null ? [message, shown(facts.reason ?? facts.err)].filter(Boolean).join(': ') : row.text(say);
  return printableLines(text).slice(0, EVENT_TEXT_CHARS_MAX);
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (value instanceof Error) return value.message.slice(0, FACT_CHARS_MAX);
  if (Array.isArray(value)) return value.map(shown).join(', ').slice(0, FACT_CHARS_MAX);
  if (typeof value === 'object') {
    if ('message' in value) return shown(value.message);
    return Object.keys(value).join(', ').slice(0, FACT_CHARS_MAX);
  }
  return String(value).slice(0, FACT_CHARS_MAX);
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, FACT_CHARS_MAX) : null;
}
