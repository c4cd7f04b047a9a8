/**
 * Every request gets one answer, its own, or a broken connection that a fault explains; and one that is not idempotent reaches an application at
 * most once.
 */
import type { Began, Fault, Got, Opened, Sent } from '../../events.ts';
import type { Disturbances, KnownFault } from '../disturbances.ts';
import { type Line, MS, type Report, type Rule, SECOND } from '../line.ts';

/** A peer that says nothing is dead after three seconds; its last word may have come a second before. */
const SEEMS_DEAD = 1_900 * MS;
/** What a fault has done is noticed later, and later still on a machine that is busy. */
const NOTICED = 1_500 * MS;
/** By then everything that explains a failure is known. */
const JUDGED_AFTER = 12 * SECOND;
/** An instance that was killed while it started counts as a start that failed, for so long. */
const STARTS_FAIL = 30 * SECOND;
/** Until a node has read the routes once, where its directory is silent at times. */
/** A node connects to its directory again, and reads it. */
const DIRECTORY_BACK = 5 * SECOND;
const STARTED_OF_LATE = 30 * SECOND;
const ATTEMPTS_MAX = 3;
/** Requests that are over, of which it is remembered that they reached an application. */
const REMEMBERED_MAX = 200_000;

interface Story {
  readonly sent: Sent;
  readonly lines: Line[];
  got: Got | null;
}

export class Answers implements Rule {
  readonly counts = { sent: 0, answered: 0, left: 0, explained: {} as Record<string, number>, raced: 0 };
  readonly #stories = new Map<string, Story>();
  /** Those that have failed, in the order of time. */
  readonly #toJudge: Story[] = [];
  readonly #done: Story[] = [];
  /** Requests that must not be served twice → how often they were. */
  readonly #reached = new Map<string, Line>();
  readonly #instances = new Map<string, string>();
  readonly #disturbances: Disturbances;
  readonly #report: Report;
  #isWhole = false;

  constructor(disturbances: Disturbances, report: Report) {
    this.#disturbances = disturbances;
    this.#report = report;
  }

  take(line: Line): void {
    const { event } = line;
    switch (event.e) {
      case 'send':
        this.counts.sent++;
        this.#stories.set(event.id, { sent: event, lines: [line], got: null });
        break;
      case 'held':
      case 'opened':
      case 'over':
      case 'end':
        this.#stories.get(event.id)?.lines.push(line);
        break;
      case 'up':
        this.#instances.set(event.instance, event.startId);
        break;
      case 'begin':
        this.#began(event, line);
        break;
      case 'got':
        this.#got(event, line);
        break;
      case 'quiet':
        this.#isWhole = true;
        break;
    }
    this.#judgeDue(event.t);
  }

  end(): void {
    this.#judgeDue(Number.POSITIVE_INFINITY);
    if (!this.#isWhole) return;
    for (const { got, sent, lines } of this.#stories.values())
      if (got === null) this.#say('one answer', `${sent.id} got no answer and no broken connection`, lines);
  }

  #began(event: Began, line: Line): void {
    const story = this.#stories.get(event.id);
    story?.lines.push(line);
    if (event.method !== 'POST') return;
    const before = this.#reached.get(event.id);
    if (before !== undefined) {
      this.#say('served once', `${event.id} may not be sent twice and reached an application twice`, story?.lines ?? [before, line]);
    }
    this.#reached.set(event.id, line);
    if (this.#reached.size > REMEMBERED_MAX) for (const [oldest] of this.#reached) return void this.#reached.delete(oldest);
  }

  #got(event: Got, line: Line): void {
    const story = this.#stories.get(event.id);
    if (story === undefined) {
      this.#say('one answer', `an answer to ${event.id}, which nobody sent`, [line]);
      return;
    }
    story.lines.push(line);
    if (story.got !== null) this.#say('one answer', `${event.id} got a second answer`, story.lines);
    story.got = event;
    if (event.status === 200) this.#answered(story, event);
    else if (event.why === 'left') this.counts.left++;
    else if (event.why === 'lost' || event.why?.includes('malformed') === true)
      this.#say('one answer', `${event.id}: ${event.why === 'lost' ? 'nothing came in time' : 'what came is no answer'}`, story.lines);
    else {
      this.#toJudge.push(story);
      return;
    }
    this.#done.push(story);
  }

  #answered(story: Story, { id, body, instance }: Got): void {
    this.counts.answered++;
    if (body !== id) {
      this.#say('its own answer', `${id} got an answer to ${body}`, [...story.lines, ...(this.#stories.get(body ?? '')?.lines ?? [])]);
      return;
    }
    const by = story.lines.filter(({ event }) => event.e === 'begin').map((line) => line.by.name);
    if (!by.includes(this.#instances.get(instance ?? '') ?? ''))
      this.#say('its own answer', `${id} was answered by ${instance}, which never got it`, story.lines);
  }

  #judgeDue(now: number): void {
    for (let story = this.#toJudge[0]; story !== undefined && (story.got as Got).t < now - JUDGED_AFTER; story = this.#toJudge[0]) {
      this.#toJudge.shift();
      this.#judge(story);
      this.#stories.delete(story.sent.id);
    }
    for (let story = this.#done[0]; story !== undefined && (story.got as Got).t < now - JUDGED_AFTER; story = this.#done[0]) {
      this.#done.shift();
      this.#stories.delete(story.sent.id);
    }
  }

  #judge(story: Story): void {
    const got = story.got as Got;
    const { faults } = this.#disturbances;
    const reached = story.lines.some(({ event }) => event.e === 'begin' || event.e === 'opened');
    // The node closed a kept connection at the moment of its reuse: the request never was there, and any client sends it again.
    if (got.why?.startsWith('kept ') === true && !reached) {
      this.counts.raced++;
      return;
    }
    const fault = this.#isToKnow(story, got) ? undefined : faults.find((one) => explains(one, story, got, this.#instances));
    if (fault !== undefined) {
      const key = `${fault.fault.what}: ${got.why === 'ECONNREFUSED' ? 'turned away' : got.status === 0 ? 'broken' : got.status}`;
      this.counts.explained[key] = (this.counts.explained[key] ?? 0) + 1;
      return;
    }
    const near = faults.filter(({ from, until }) => from <= got.t && until >= story.sent.t - 5 * SECOND);
    const what = got.status === 0 ? `a broken connection (${got.why})` : `${got.status} ${got.why ?? ''}`;
    this.#say('explained', `${story.sent.id} got ${what}, and no fault explains it`, [...story.lines, ...near.map(({ line }) => line)]);
  }

  /** A node without a directory refuses only keys that sleep, and routes that it can not know because it was started a moment ago. */
  #isToKnow({ sent }: Story, { why, t }: Got): boolean {
    if (!/directory_away/.test(why ?? '') || sent.route.includes('~')) return false;
    const isNew = ({ fault, until }: KnownFault): boolean =>
      fault.of === `node:${sent.node}` && (fault.does === 'dies' || fault.does === 'ends') && until > t - STARTED_OF_LATE;
    return !this.#disturbances.faults.some(isNew);
  }

  #say(rule: string, text: string, lines: readonly Line[]): void {
    this.#report({ rule, text, lines });
  }
}

function explains(known: KnownFault, story: Story, got: Got, startIds: ReadonlyMap<string, string>): boolean {
  const { fault, from, until } = known;
  if (/directory_away/.test(got.why ?? ''))
    return from <= got.t && until + DIRECTORY_BACK >= story.sent.t && (fault.undirected === '*' || fault.undirected === story.sent.node);
  if (fault.does === undefined || from > got.t || until + NOTICED < story.sent.t) return false;
  if (fault.of === `node:${story.sent.node}`) return hitsNode(fault, until - from, got);
  const opened = story.lines.map(({ event }) => event).filter((event): event is Opened => event.e === 'opened');
  if (/start_failed/.test(got.why ?? '')) return fault.does === 'dies' && until + STARTS_FAIL >= story.sent.t;
  if (!isCutOff(story, got, opened.length)) return false;
  if (fault.does === 'ends' || (fault.does === 'silent' && until - from < SEEMS_DEAD)) return false;
  const places = new Set(story.lines.filter(({ event }) => event.e === 'begin').map(({ by }) => `linker:${by.name}`));
  for (const { instance } of opened) places.add(`linker:${startIds.get(instance) ?? ''}`);
  if (fault.of !== undefined && places.has(fault.of)) return true;
  // A relay is another node, and its end is the end of what goes through it.
  return fault.of?.startsWith('node:') === true && opened.some(({ relayed }) => relayed === true);
}

/** The client's own node was hit. */
function hitsNode({ does }: Fault, lasted: number, got: Got): boolean {
  const isBroken = got.status === 0;
  if (does === 'ends')
    return got.why === 'ECONNREFUSED' || /draining/.test(got.why ?? '') || (isBroken && got.why?.startsWith('kept ') === true);
  if (does === 'silent') return lasted >= SEEMS_DEAD && (isBroken || isTerminated(got));
  if (does === 'cut') return isBroken || isTerminated(got);
  return isBroken;
}

/** Its instance was lost: what may be sent again is sent again, and fails only after several attempts, or within its response. */
function isCutOff({ sent }: Story, got: Got, attempts: number): boolean {
  if (got.status === 0) return got.begun === true;
  return isTerminated(got) && (sent.method === 'POST' || attempts >= ATTEMPTS_MAX);
}

function isTerminated({ status, why }: Got): boolean {
  return status === 502 && /connection_(terminated|refused)/.test(why ?? '');
}
