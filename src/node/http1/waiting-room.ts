/** Browsers that wait in front of a page: what it shows, and how they come back to their places in the line. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../../cluster/cluster.ts';
import { routeOf } from '../../config/route-key.ts';
import { PullproxyError } from '../../errors.ts';
import { cookieOf, networkOf } from '../matching/queue-rules.ts';
import type { Route } from '../matching/route.ts';
import { type BrowserRequest, PLACE_HELD_MS, type Visit } from '../matching/visit.ts';
import type { Pages } from './pages.ts';
import { type Holder, PLACE_LIVES_MS, type Place, Places } from './places.ts';
import { LOOK_AGAIN_SECONDS, type PageFacts } from './waiting-page.ts';

export const PLACE_COOKIE = 'pullproxy-place';
/** Longer than any text of a place that was given out before it was taken: a place that led to a slot is used up. */
const CLAIM_MS = PLACE_LIVES_MS + PLACE_HELD_MS + 5_000;
/** A browser that reloads ends its request and asks anew at the same moment. */
const TAKEN_AGAIN_MS = 250;

export class WaitingRoom {
  readonly #cluster: Pick<Cluster, 'now' | 'waits'>;
  readonly #places: Places;
  readonly #pages: Pages;
  /** Places of requests that are at this node. */
  readonly #here = new Set<string>();

  constructor(cluster: Pick<Cluster, 'now' | 'waits'>, secrets: (route: string) => readonly string[], pages: Pages) {
    this.#cluster = cluster;
    this.#places = new Places(secrets);
    this.#pages = pages;
  }

  /** Somebody comes back from a page: resolves when the request has its place again, or none. Null: nobody does. */
  comesBack(visit: Visit, route: Route): Promise<void> | null {
    const { now } = this.#cluster;
    const { browser } = visit;
    if (now === null || browser === null) return null;
    const token = cookieOf(browser.field('cookie') ?? '', PLACE_COOKIE);
    const place = token === '' ? null : this.#places.read(token, holderOf(browser, route), now);
    return place === null ? null : this.#take(visit, route, place, now);
  }

  async #take(visit: Visit, route: Route, place: Place, now: number): Promise<void> {
    const since = performance.now();
    let isFree = await this.#claim(route.name, place.id);
    if (!isFree) {
      await delay(TAKEN_AGAIN_MS);
      isFree = !visit.isOver && (await this.#claim(route.name, place.id));
    }
    // A second tab waits as everybody does, and leaves the place to the first one.
    if (!isFree) visit.place = 'taken';
    else if (visit.isOver) this.#release(route.name, place.id);
    else {
      visit.arrivedAt = since - Math.max(0, now - place.arrival);
      visit.place = { ...place, isUsedUp: false, release: (isUsedUp) => this.#release(route.name, place.id, isUsedUp) };
    }
  }

  async #claim(route: string, id: string): Promise<boolean> {
    const key = `${route} ${id}`;
    if (this.#here.has(key)) return false;
    this.#here.add(key);
    // While the directory does not answer, no other node can be asked.
    const isFree = await this.#cluster.waits.claim(route, id, CLAIM_MS).catch(() => true);
    if (!isFree) this.#here.delete(key);
    return isFree;
  }

  #release(route: string, id: string, isUsedUp = false): void {
    this.#here.delete(`${route} ${id}`);
    if (!isUsedUp) this.#cluster.waits.unclaim(route, id).catch(() => undefined);
  }

  /** The page for somebody who is held. */
  page(visit: Visit, route: Route): PullproxyError {
    const error = new PullproxyError('waiting_page', undefined, { retryAfter: LOOK_AGAIN_SECONDS });
    const { browser } = visit;
    if (browser === null) return error;
    const now = performance.now();
    const html = this.#pages.of(routeOf(route.name)).render(factsOf(visit, browser, route, now));
    error.page = { html, lines: `Refresh: ${LOOK_AGAIN_SECONDS}\r\n${this.#cookieLine(visit, browser, route, now)}` };
    return error;
  }

  #cookieLine(visit: Visit, browser: BrowserRequest, route: Route, now: number): string {
    const directoryNow = this.#cluster.now;
    if (directoryNow === null || visit.place === 'taken') return '';
    const place = visit.place ?? this.#places.begin(directoryNow - (now - visit.arrivedAt));
    const token = this.#places.write(place, holderOf(browser, route), directoryNow);
    const secure = browser.proto === 'https' ? '; Secure' : '';
    return `Set-Cookie: ${PLACE_COOKIE}=${token}; Path=/; Max-Age=${PLACE_LIVES_MS / 1_000}; HttpOnly; SameSite=Lax${secure}\r\n`;
  }
}

function holderOf(browser: BrowserRequest, route: Route): Holder {
  return { route: route.name, address: networkOf(browser.client), userAgent: browser.field('user-agent') ?? '' };
}

function factsOf(visit: Visit, browser: BrowserRequest, route: Route, now: number): PageFacts {
  const ahead = route.aheadOf(visit, now);
  return {
    route: routeOf(route.name),
    host: browser.host,
    state: route.isPaused ? 'paused' : route.isCold ? 'starting' : 'busy',
    position: route.waits.position(ahead, now),
    waitMs: route.waitLeftMs(visit, now),
  };
}
