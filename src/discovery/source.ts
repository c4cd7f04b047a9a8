/**
 * A source says which applications there are, for which routes, and starts and stops them: Docker by the labels of containers. It knows neither
 * links nor slots. `discovery.ts` makes instances of what a source shows.
 */
import type { HostPort } from '../config/host-port.ts';
import type { AppExit } from '../linker/app-process.ts';
import type { Declared } from './labels.ts';

export interface Source {
  /** Tells what there is, at once and after each change, until `signal`. Goes on trying while it does not answer. Never rejects. */
  follow(events: SourceEvents, signal: AbortSignal): Promise<void>;
}

export interface SourceEvents {
  /** All that there is now. */
  seen(picture: Picture): void;
  /** It does not answer: what was seen last may be old, until it is seen again. */
  away(reason: string): void;
}

export interface Picture {
  /** Names the source in the setting `source` of the routes that it declares. The same one after each start of this process. */
  readonly source: string;
  readonly units: readonly Unit[];
  readonly problems: readonly Problem[];
}

/** Something that was declared wrongly. All else counts. */
export interface Problem {
  readonly route: string | null;
  readonly text: string;
}

/** A place for one instance of a route: one container. The same object as long as it is there. */
export interface Unit {
  /** One of its kind at the source. */
  readonly id: string;
  /** For people: `container web-1`. */
  readonly said: string;
  /** ms since the epoch. */
  readonly createdAt: number;
  readonly declared: Declared;
  /** Null: it does not run. */
  readonly run: Run | null;
  /** Starts it, if it does not run. Rejects with words for people, also once `signal` has aborted. */
  start(signal: AbortSignal): Promise<Run>;
}

/** A unit runs, from one start to the next end. */
export interface Run {
  /** Where it may accept. Rejects with words for people where nothing reaches it. */
  addresses(signal: AbortSignal): Promise<readonly HostPort[]>;
  /** Resolves when it has ended, whoever ended it. Never rejects. */
  readonly ended: Promise<AppExit>;
  /** Resolves when it has ended. Rejects when the source does not answer. */
  stop(timeoutMs: number): Promise<void>;
}
