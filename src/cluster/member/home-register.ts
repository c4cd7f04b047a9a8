/** The instances of one route with their home at this node, and the changes that the directory does not have yet. */
import type { InstanceInfo } from '../cluster.ts';
import type { InstanceBeat, RouteBeatReply } from '../directory.ts';

interface Home {
  info: InstanceInfo;
  changed: boolean;
  claim: boolean;
  /** It was allowed to leave. The instance may not know that yet and report itself ready once more. */
  retired: boolean;
}

export interface HomeBeat {
  readonly instances: readonly InstanceBeat[];
  readonly gone: readonly string[];
}

export class HomeRegister {
  readonly #homes = new Map<string, Home>();
  readonly #gone = new Set<string>();
  /** Others wait for this change, so it does not wait for the next beat. */
  #urgent = false;
  #pending = false;

  get size(): number {
    return this.#homes.size;
  }

  get urgent(): boolean {
    return this.#urgent;
  }

  /** The directory lacks something. */
  get pending(): boolean {
    return this.#pending;
  }

  /** Returns true when the instance has just become ready. */
  set(info: InstanceInfo): boolean {
    const before = this.#homes.get(info.id);
    if (before === undefined) {
      this.#gone.delete(info.id);
      this.#homes.set(info.id, { info, changed: true, claim: true, retired: false });
      this.#urgent = true;
      this.#pending = true;
      return info.state === 'ready';
    }
    const next = before.retired ? { ...info, state: 'draining' as const } : info;
    const { state, concurrency, setBy, seq, startId, active, answered } = before.info;
    const sameLimit = next.concurrency === concurrency && next.setBy === setBy;
    const same = next.state === state && sameLimit && next.seq === seq && next.startId === startId;
    const weighty = !same || next.answered !== answered;
    if (weighty) this.#urgent = true;
    if (weighty || next.active !== active) {
      before.changed = true;
      this.#pending = true;
    }
    before.info = next;
    return next.state === 'ready' && state !== 'ready';
  }

  /** The reply to a beat. */
  heard({ missing, numbered = [], turnedAway = [] }: RouteBeatReply): void {
    this.sayAgain(missing);
    for (const [id, seq] of numbered) this.numbered(id, seq);
    for (const id of turnedAway) this.retired(id);
  }

  /** The directory has given it its number, and knows that. */
  numbered(id: string, seq: number): void {
    const home = this.#homes.get(id);
    if (home !== undefined) home.info = { ...home.info, seq };
  }

  remove(id: string): void {
    if (!this.#homes.delete(id)) return;
    this.#gone.add(id);
    this.#urgent = true;
    this.#pending = true;
  }

  retired(id: string): void {
    const home = this.#homes.get(id);
    if (home === undefined) return;
    home.retired = true;
    home.info = { ...home.info, state: 'draining' };
  }

  /** The content of the next beat; call `failed` if there was no reply. */
  take(): HomeBeat {
    const instances = [...this.#homes].map(([id, home]) => ({ id, info: home.changed ? home.info : null, claim: home.claim }));
    const gone = [...this.#gone];
    for (const home of this.#homes.values()) {
      home.changed = false;
      home.claim = false;
    }
    this.#gone.clear();
    this.#urgent = false;
    this.#pending = false;
    return { instances, gone };
  }

  failed(beat: HomeBeat): void {
    this.#pending = true;
    for (const { id, info, claim } of beat.instances) {
      const home = this.#homes.get(id);
      if (home === undefined) continue;
      home.changed ||= info !== null;
      home.claim ||= claim;
    }
    for (const id of beat.gone) if (!this.#homes.has(id)) this.#gone.add(id);
  }

  /** The directory lost these, or (null) perhaps any of them. */
  sayAgain(ids: readonly string[] | null): void {
    for (const id of ids ?? this.#homes.keys()) {
      const home = this.#homes.get(id);
      if (home === undefined) continue;
      home.changed = true;
      this.#urgent = true;
      this.#pending = true;
    }
  }
}
