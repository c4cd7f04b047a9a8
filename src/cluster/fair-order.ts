/**
 * The order of held clients where a route sets `priority` or `fairBy`: the most urgent class first, in a class an equal share for each
 * value, for one value the oldest first.
 *
 * Shares follow start-time fair queueing (Goyal, Vin, Cheng 1996). Each value has a line with a tag: the virtual time at which its next client
 * starts. The line with the smallest tag is next, and a served client moves its line's tag by cost / weight. Deficit round robin (Shreedhar,
 * Varghese 1995) must know a quantum and is unfair within a round, which with large costs is long. Stochastic fairness (McKenney 1990) lets values
 * that collide share. Start-time fair queueing needs no knowledge of the rate of service either, and slots that breathe have none. A tag also means
 * the same at every node, so the directory can compare lines of several nodes.
 *
 * A line that begins gets a tag just before those that wait (CREDIT): one who waits alone goes next, as in the list of new flows of FQ-CoDel (RFC 8290).
 * The tag of a line that ran ahead is kept until the others have caught up, so that nobody gains by leaving and coming back.
 *
 * The Redis script `_fair` does the same, tag by tag.
 */
import { Heap } from '../memory/heap.ts';

export const URGENCY_DEFAULT = 3;
export const URGENCY_LEAST = 7;
/** A line that begins is ahead of those that wait by so much service: more than tags differ by while promises are made and taken back. */
export const CREDIT = 4;
/** Lines at different nodes whose tags differ by less than this are alike. */
const TOLERANCE = 1.5;
/** The pace of the directory is behind by more than this: it has lost its tags, or has made them anew. */
const LOST_PACE = 100;
/** Lines of one route, with those that are kept for their tags; further values share one line. */
export const LINES_MAX = 1_000;
/** The most characters of an ask as the directory keeps it. */
export const ASK_CHARS_MAX = 160;
/** The value of that line. No value of a client is written like this. */
export const EXCESS = '+';
/** The value of all clients who have waited for `priorityWait`: together they are one value more of the most urgent class. */
export const OVERDUE = '!';

/** A client's ask: its urgency and its value. */
export interface Ask {
  /** 0 the most urgent, 7 the least. */
  readonly urgency: number;
  /** Clients with the same value share. '' where the route tells none apart. At most 48 characters of A-Z a-z 0-9 . : _ - */
  readonly value: string;
  /** By how much its service moves the tag of its line: cost / weight. */
  readonly unit: number;
  /** Slots that it takes, all of one instance. */
  readonly cost: number;
  /** They are brought together at its node: it needs none of another node. */
  readonly gathers?: boolean;
}

/** Where a client or a line is in the order. */
export interface Rank extends Pick<Ask, 'urgency' | 'value'> {
  /** Null: the directory has not told it yet, and it can't be compared with those of other nodes. */
  readonly tag: number | null;
}

/** The client that is first in the order somewhere. */
export interface FirstClient extends Rank {
  /** The directory's time. Others that are held there may be older. */
  readonly arrival: number;
}

/**
 * A client elsewhere goes before one here, by their ranks. Undefined: their ages decide. A line elsewhere that is behind by less than TOLERANCE
 * does not count: to move a slot costs some ms, and is worth while for one who waits alone (CREDIT) or when a line has fallen back.
 */
export function goesBefore(elsewhere: Rank, here: Rank): boolean | undefined {
  if (elsewhere.urgency !== here.urgency) return elsewhere.urgency < here.urgency;
  if (elsewhere.value === here.value || elsewhere.tag === null || here.tag === null) return undefined;
  return elsewhere.tag + TOLERANCE < here.tag;
}

/** The directory's facts about a line: `LINE` of its key, the virtual time of its class, and its tag. */
export interface LineTag {
  readonly key: string;
  readonly tag: number;
  readonly pace: number;
}

export const PLAIN_ASK: Ask = Object.freeze({ urgency: URGENCY_DEFAULT, value: '', unit: 1, cost: 1 });

export function lineKey({ urgency, value }: Pick<Ask, 'urgency' | 'value'>): string {
  return `${urgency}${value}`;
}

interface Line<T> {
  readonly key: string;
  readonly urgency: number;
  tag: number;
  /** While clients of it are set aside: its tag without them. */
  tagBefore: number | null;
  /** Null while nobody is in it: then it is kept for its tag. */
  places: Heap<Place<T>> | null;
  /** Among the lines of its class with clients, or among those without. */
  at: number;
}

/** A client's place in the order. */
export interface Place<T> {
  readonly client: T;
  readonly arrival: number;
  readonly line: Line<T>;
  readonly unit: number;
  at: number;
  youngAt: number;
}

interface Class<T> {
  /** The virtual time: no line that begins gets a tag that is further behind than the credit. */
  pace: number;
  readonly lines: Heap<Line<T>>;
  /** Lines without clients whose tags are ahead. */
  readonly rested: Heap<Line<T>>;
  readonly youngest: Heap<Place<T>>;
}

export class FairOrder<T> {
  /** By urgency, as far as anybody asked for it. */
  readonly #classes: (Class<T> | undefined)[] = [];
  readonly #lines = new Map<string, Line<T>>();
  readonly #before: (a: T, b: T) => boolean;
  #size = 0;

  /** `before`: which of two clients that arrived at the same time goes first. */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#size;
  }

  /** With those that are kept for their tags. */
  get lines(): number {
    return this.#lines.size;
  }

  enter(client: T, arrival: number, ask: Ask): Place<T> {
    const line = this.#lineOf(ask);
    const place: Place<T> = { client, arrival, line, unit: ask.unit, at: -1, youngAt: -1 };
    this.#occupy(line).add(place);
    this.#classOf(line.urgency).youngest.add(place);
    this.#size++;
    return place;
  }

  leave(place: Place<T>): void {
    const { line } = place;
    const group = this.#classOf(line.urgency);
    group.youngest.remove(place);
    line.places?.remove(place);
    this.#size--;
    if (line.places === null || line.places.size > 0) return;
    line.places = null;
    group.lines.remove(line);
    if (line.tag > group.pace - CREDIT) group.rested.add(line);
    else this.#lines.delete(line.key);
  }

  /** The clients of such an ask have got so much service. */
  charge(ask: Pick<Ask, 'urgency' | 'value'>, units: number): void {
    const line = this.#lineOf(ask);
    this.#move(line, units);
    if (line.places === null && line.at === -1) this.#classOf(line.urgency).rested.add(line);
  }

  /** The client is about to leave the order, since it is served. */
  serve({ line, unit }: Place<T>): void {
    this.#move(line, unit);
  }

  /** A slot is promised to the client, which leaves the order: its line is charged. Returns the line's key. */
  promise(place: Place<T>): string {
    this.#move(place.line, place.unit);
    if (place.line.tagBefore !== null) place.line.tagBefore += place.unit;
    // After that: its tag says whether the line is kept.
    this.leave(place);
    return place.line.key;
  }

  /** The client is out of the order until `bringBack`, and its line counts as served. */
  setAside(place: Place<T>): void {
    const { line, unit } = place;
    const { lines } = this.#classOf(line.urgency);
    line.tagBefore ??= line.tag;
    line.tag += unit;
    line.places?.remove(place);
    if (line.places?.size === 0) {
      lines.remove(line);
      line.places = null;
    } else {
      lines.moved(line);
    }
  }

  /** All that were set aside since the last time. */
  bringBack(places: readonly Place<T>[]): void {
    for (const place of places) {
      const { line } = place;
      this.#occupy(line).add(place);
      this.#lines.set(line.key, line);
      this.#move(line, (line.tagBefore ?? line.tag) - line.tag);
    }
    for (const { line } of places) line.tagBefore = null;
  }

  /** The promise to a client of the line is over, kept or not. */
  discharge(key: string, units: number): void {
    const line = this.#lines.get(key);
    if (line !== undefined) this.#move(line, -units);
  }

  get first(): Place<T> | null {
    for (const group of this.#classes) {
      const first = group?.lines.first?.places?.first;
      if (first !== undefined) return first;
    }
    return null;
  }

  /** About how many clients go before this one: all of more urgent classes, and of its own those whose turn in their line is earlier. */
  ahead({ line, arrival, unit }: Place<T>): number {
    let ahead = 0;
    for (let urgency = 0; urgency < line.urgency; urgency++) ahead += this.#classes[urgency]?.youngest.size ?? 0;
    let older = 0;
    for (const other of line.places?.all() ?? []) if (other.arrival < arrival) older++;
    const start = line.tag + older * unit;
    for (const { tag, places } of this.#classOf(line.urgency).lines.all()) {
      if (places === null || places === line.places) continue;
      const each = places.first?.unit ?? unit;
      ahead += each > 0 ? Math.min(places.size, Math.max(0, Math.ceil((start - tag) / each))) : places.size;
    }
    return ahead + older;
  }

  /** The youngest of the least urgent clients, when it is less urgent than this. */
  lessUrgent(urgency: number): Place<T> | null {
    for (let least = URGENCY_LEAST; least > urgency; least--) {
      const youngest = this.#classes[least]?.youngest.first;
      if (youngest !== undefined) return youngest;
    }
    return null;
  }

  rankOf({ arrival, line: { key, urgency, tag } }: Place<T>): FirstClient {
    return { urgency, value: key.slice(1), tag, arrival };
  }

  tagOf(key: string): number | null {
    return this.#lines.get(key)?.tag ?? null;
  }

  /** The class's virtual time. */
  paceOf(urgency: number): number {
    const group = this.#classes[urgency];
    return group === undefined ? CREDIT : Math.max(group.pace, group.lines.first?.tag ?? 0);
  }

  /** The directory's word counts: it knows what other nodes have served. `since`: service here that it does not know yet. */
  learn({ key, tag, pace }: LineTag, since: number): void {
    const line = this.#lines.get(key);
    if (line === undefined) return;
    const group = this.#classOf(line.urgency);
    // Nobody would catch up with those that are kept from before.
    if (pace < group.pace - LOST_PACE) this.#forgetRested(group, Number.POSITIVE_INFINITY);
    group.pace = pace;
    this.#move(line, tag + since - line.tag);
  }

  /** Nobody is held any more: no line keeps anything. */
  clear(): void {
    this.#classes.length = 0;
    this.#lines.clear();
    this.#size = 0;
  }

  /** Some of those who are next: of the first lines, the first clients. */
  *look(linesSeen: number, clientsSeen: number): Generator<Place<T>> {
    let seen = 0;
    for (const group of this.#classes) {
      for (const { places } of [...(group?.lines.all() ?? [])].sort((a, b) => (isEarlier(a, b) ? -1 : 1))) {
        if (seen++ === linesSeen) return;
        yield* [...(places?.all() ?? [])].sort((a, b) => (this.#isOlder(a, b) ? -1 : 1)).slice(0, clientsSeen);
      }
    }
  }

  /** Somebody is in the line. */
  #occupy(line: Line<T>): Heap<Place<T>> {
    if (line.places !== null) return line.places;
    const { lines, rested } = this.#classOf(line.urgency);
    if (line.at !== -1) rested.remove(line);
    line.places = new Heap<Place<T>>((a, b) => this.#isOlder(a, b), setAt, getAt);
    lines.add(line);
    return line.places;
  }

  #move(line: Line<T>, units: number): void {
    line.tag += units;
    const { lines, rested } = this.#classOf(line.urgency);
    if (line.places !== null) lines.moved(line);
    else if (line.at !== -1) rested.moved(line);
  }

  #lineOf({ urgency, value }: Pick<Ask, 'urgency' | 'value'>): Line<T> {
    const group = this.#classOf(urgency);
    group.pace = this.paceOf(urgency);
    this.#forgetRested(group, group.pace - CREDIT);
    const own = this.#lines.get(lineKey({ urgency, value }));
    if (own !== undefined) return own;
    const key = lineKey({ urgency, value: this.#lines.size < LINES_MAX ? value : EXCESS });
    const line = this.#lines.get(key) ?? { key, urgency, tag: group.pace - CREDIT, tagBefore: null, places: null, at: -1 };
    this.#lines.set(key, line);
    return line;
  }

  /** Nobody is in them, and their tags are no longer ahead. */
  #forgetRested({ rested }: Class<T>, tagMax: number): void {
    for (let { first } = rested; first !== undefined && first.tag <= tagMax; first = rested.first) {
      rested.remove(first);
      this.#lines.delete(first.key);
    }
  }

  #classOf(urgency: number): Class<T> {
    let group = this.#classes[urgency];
    if (group === undefined) {
      const youngest = new Heap<Place<T>>((a, b) => this.#isOlder(b, a), setYoungAt, getYoungAt);
      const [lines, rested] = [new Heap<Line<T>>(isEarlier, setAt, getAt), new Heap<Line<T>>(isEarlier, setAt, getAt)];
      group = { pace: CREDIT, lines, rested, youngest };
      this.#classes[urgency] = group;
    }
    return group;
  }

  #isOlder(a: Place<T>, b: Place<T>): boolean {
    return a.arrival < b.arrival || (a.arrival === b.arrival && this.#before(a.client, b.client));
  }
}

function isEarlier<T>(a: Line<T>, b: Line<T>): boolean {
  return a.tag < b.tag || (a.tag === b.tag && a.key < b.key);
}

const getAt = ({ at }: { at: number }): number => at;
const setAt = (member: { at: number }, at: number): void => {
  member.at = at;
};
const getYoungAt = ({ youngAt }: { youngAt: number }): number => youngAt;
const setYoungAt = (member: { youngAt: number }, at: number): void => {
  member.youngAt = at;
};
