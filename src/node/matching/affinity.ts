/**
 * Which instance a client would rather have: that of its value, or the one that its cookie names. Nothing is kept for single clients: nodes that know
 * the same instances say the same (rendezvous hashing: an instance more or less moves only its own share of the values).
 */
import { hash } from 'node:crypto';
import type { InstanceHome } from '../../cluster/cluster.ts';
import type { AffinitySource } from '../../config/queue-sources.ts';
import type { RouteSettings } from '../../config/route-settings.ts';
import { AffinityLines } from './affinity-lines.ts';
import type { HeldQueue } from './held-queue.ts';
import type { QueueDiscipline } from './queue-discipline.ts';
import { type ClientWord, cookiesOf, networkOf } from './queue-rules.ts';
import type { Visit } from './visit.ts';
import type { AffinityResult, Wish } from './wish.ts';

/** RFC 6265 section 6.1: browsers need not keep longer cookies. A longer value counts as none. */
const VALUE_CHARS_MAX = 4_096;
/** So many cookies with the same name are looked at. */
const COOKIES_MAX = 8;
/** 96 bits: who does not know the id of an instance can't name it. */
const TAG_CHARS = 16;
const COOKIE_NAME_CHARS = 8;
/** What the directory said about instances counts for so long. It says it with each beat. */
const FRESH_MS = 3_000;

interface Known {
  readonly home: string | null;
  readonly tag: string;
  readonly hash: number;
}

export class Affinity {
  readonly source: AffinitySource;
  waitMs: number;
  /** Clients that wait for one instance, before they are held for any. */
  readonly waiting: HeldQueue<Visit>;
  readonly lines = new AffinityLines();
  readonly #route: string;
  readonly #cookieName: string;
  readonly #instances = new Map<string, Known>();
  /** The instance of each cookie. */
  readonly #tagged = new Map<string, string>();
  /** When the directory said which instances are ready. */
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(
    route: string,
    source: AffinitySource,
    waitMs: number,
    queue: (waitMs: number, discipline: QueueDiscipline<Visit>) => HeldQueue<Visit>,
  ) {
    this.#route = route;
    this.source = source;
    this.waitMs = waitMs;
    this.waiting = queue(waitMs, this.lines);
    this.#cookieName = `pullproxy-${hash('sha256', route, 'hex').slice(0, COOKIE_NAME_CHARS)}`;
  }

  configure({ affinityWaitMs }: RouteSettings): void {
    this.waitMs = affinityWaitMs;
    this.waiting.patience(affinityWaitMs);
  }

  wishOf(word: ClientWord): Wish {
    return { values: saidValues(this.source, this.#cookieName, word), instance: null, isOver: false, result: null };
  }

  isFresh(now: number): boolean {
    return now - this.#saidAt < FRESH_MS;
  }

  /** The ready instances, as the directory says. `here`: those that lend slots to this node. */
  ready(said: readonly InstanceHome[], here: Iterable<string>, now: number): void {
    this.#saidAt = now;
    const homes = new Map<string, string | null>(said.map(({ id, node }) => [id, node]));
    for (const id of this.#instances.keys()) if (!homes.has(id)) this.forget(id);
    for (const [id, home] of homes) this.#add(id, home);
    if (this.source.from === 'set-cookie') for (const id of here) this.#add(id, homes.get(id) ?? null);
  }

  forget(instance: string): void {
    const known = this.#instances.get(instance);
    if (known === undefined) return;
    this.#instances.delete(instance);
    this.#tagged.delete(known.tag);
  }

  knows(instance: string): boolean {
    return this.#instances.has(instance);
  }

  homeOf(instance: string): string | null {
    return this.#instances.get(instance)?.home ?? null;
  }

  /** Null: none of those that are there. */
  find({ values }: Wish): string | null {
    if (this.source.from !== 'set-cookie') return values[0] === undefined ? null : this.#highest(hashOf(values[0]));
    for (const tag of values) {
      const instance = this.#tagged.get(tag);
      if (instance !== undefined) return instance;
    }
    return null;
  }

  /** The line of the response's head that gives the client its cookie; empty: it has the right one. */
  cookieLine(wish: Wish | null, instance: string, isHttps: boolean): string {
    if (this.source.from !== 'set-cookie' || wish === null || wish.instance === instance) return '';
    const { tag } = this.#instances.get(instance) ?? this.#add(instance, null);
    return `Set-Cookie: ${this.#cookieName}=${tag}; Path=/; HttpOnly; SameSite=Lax${isHttps ? '; Secure' : ''}\r\n`;
  }

  /** Null: it has no wish, or one that means nothing yet. */
  resultOf({ values, instance }: Wish, served: string): AffinityResult | null {
    if (instance !== null) return instance === served ? 'hit' : 'miss';
    return values.length > 0 && this.source.from === 'set-cookie' ? 'gone' : null;
  }

  #add(id: string, home: string | null): Known {
    const before = this.#instances.get(id);
    if (before !== undefined && before.home === home) return before;
    const tag = before?.tag ?? hash('sha256', `${this.#route} ${id}`, 'base64url').slice(0, TAG_CHARS);
    const known = { home, tag, hash: hashOf(id) };
    this.#instances.set(id, known);
    this.#tagged.set(tag, id);
    return known;
  }

  #highest(value: number): string | null {
    let best: string | null = null;
    let bestScore = -1;
    for (const [id, known] of this.#instances) {
      const score = mixed(value ^ Math.imul(known.hash, 0x9e3779b1));
      // No two nodes may differ in the order in which they heard of instances.
      if (score > bestScore || (score === bestScore && best !== null && id > best)) [best, bestScore] = [id, score];
    }
    return best;
  }
}

/** Whose word it is does not matter: it leads only to where each request may go. */
function saidValues(source: AffinitySource, cookieName: string, word: ClientWord): readonly string[] {
  if (source.from === 'client') return usable([networkOf(word.address)]);
  if (source.from === 'header') return usable([word.header(source.name)]);
  const cookies = cookiesOf(word.header('cookie'), source.from === 'cookie' ? source.name : cookieName);
  return usable(cookies.slice(0, source.from === 'cookie' ? 1 : COOKIES_MAX));
}

function usable(values: readonly string[]): readonly string[] {
  return values.filter((value) => value !== '' && value.length <= VALUE_CHARS_MAX);
}

/** FNV-1a, 32 bits: a collision costs nobody anything. */
function hashOf(text: string): number {
  let sum = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  return sum;
}

/** The last steps of MurmurHash3. */
function mixed(value: number): number {
  let sum = value ^ (value >>> 16);
  sum = Math.imul(sum, 0x85ebca6b);
  sum ^= sum >>> 13;
  sum = Math.imul(sum, 0xc2b2ae35);
  return (sum ^ (sum >>> 16)) >>> 0;
}
