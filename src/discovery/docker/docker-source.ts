/**
 * The containers that carry labels. All of them are read at once, and again after each event of Docker; what an event says by itself is only how a
 * container has ended. So a lost event costs half a minute, and a false one nothing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { guard } from '../../boundary.ts';
import type { DockerHost } from '../../config/docker-host.ts';
import { problem } from '../../config/kinds.ts';
import { ConfigError, messageOf } from '../../errors.ts';
import { fieldsOf } from '../fields.ts';
import { PREFIX, readLabels } from '../labels.ts';
import { pauseAfter } from '../pause.ts';
import type { Problem, Source, SourceEvents } from '../source.ts';
import { DockerApi } from './api.ts';
import { type Listed, type Reach, readEvent, readListed } from './containers.ts';
import { DockerUnit, SETTLE_MS } from './docker-unit.ts';
import { reachOf } from './reach.ts';

/** Containers with labels; further ones are left out, the oldest first. */
export const CONTAINERS_MAX = 1_000;
/** Several events at once are one look. */
const GATHER_MS = 30;
/** In case an event was lost. */
const LOOK_AGAIN_MS = 30_000;
/** A look during which something happened is done again, but not for ever. */
const LOOKS_MAX = 5;
/** Events after which containers are looked at. Each check of a container's health would be three others. */
const CHANGES = new Set(['create', 'start', 'die', 'stop', 'destroy', 'rename', 'pause', 'unpause', 'restore']);
const LABEL = `${PREFIX}route`;
/** Startup commands make such containers, which have a linker of their own. */
const STARTED_LABEL = `${PREFIX}startedBy`;
/** Swarm would start again what is stopped here. */
const SWARM_LABEL = 'com.docker.swarm.service.name';

interface Known {
  readonly unit: DockerUnit | null;
  readonly problem: Problem | null;
}

export class DockerSource implements Source {
  readonly #host: DockerHost;
  readonly #api: DockerApi;
  readonly #labels: readonly string[];
  /** By id. Labels of a container never change. */
  readonly #known = new Map<string, Known>();
  #name = '';
  #reach: Reach = { by: 'direct' };
  /** The container of this process. */
  #self: string | null = null;
  #events = 0;
  /** What the list has shown agrees with the events. */
  #isSettled = true;

  /** `label`: containers must have it, too. */
  constructor(host: DockerHost, label?: string) {
    this.#host = host;
    this.#labels = [LABEL, ...(label === undefined ? [] : [label])];
    this.#api = new DockerApi(host);
  }

  async follow(events: SourceEvents, signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#session(events, signal, () => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) return;
        events.away(messageOf(error));
        await pauseAfter(failures++, 0, signal);
      }
    }
  }

  /** From a connection to its end. Rejects with the reason. */
  async #session(events: SourceEvents, outer: AbortSignal, works: () => void): Promise<never> {
    const ended = new AbortController();
    const signal = AbortSignal.any([outer, ended.signal]);
    // One that is awaited again and again must not be one that lasts: each time would leave something behind at it.
    let rung = Promise.withResolvers<void>();
    let broken: unknown = null;
    try {
      await this.#api.greet(signal);
      await this.#learn(signal);
      const filters = filtersOf({ type: ['container'], label: this.#labels });
      const heard = guard('discovery', (line: string) => {
        if (this.#heard(line)) rung.resolve();
      });
      const { over } = await this.#api.stream(`/events?${filters}`, heard, signal);
      over.catch((error: unknown) => {
        broken = error;
        rung.resolve();
      });
      await this.#look(events, signal);
      for (const { unit } of this.#known.values()) await unit?.check();
      works();
      for (;;) {
        const later = setTimeout(rung.resolve, this.#isSettled ? LOOK_AGAIN_MS : SETTLE_MS);
        await rung.promise;
        clearTimeout(later);
        await delay(GATHER_MS, undefined, { signal });
        rung = Promise.withResolvers<void>();
        if (broken !== null) throw broken;
        await this.#look(events, signal);
      }
    } finally {
      ended.abort();
    }
  }

  async #learn(signal: AbortSignal): Promise<void> {
    const { Name, ID } = fieldsOf(await this.#api.ask('/info', { signal }));
    // The name for people, the id because two machines may have one name.
    const plain = (value: unknown, most: number): string =>
      String(value ?? '')
        .replaceAll(/[^\w.-]/g, '')
        .slice(0, most);
    this.#name = `docker@${plain(Name, 40) || 'host'}-${plain(ID, 64)
      .replaceAll(/[^A-Za-z0-9]/g, '')
      .slice(0, 8)
      .toLowerCase()}`;
    const { reach, self } = await reachOf(this.#api, this.#host, signal);
    this.#reach = reach;
    this.#self = self;
  }

  /** Whether the list of containers may be another one now. */
  #heard(line: string): boolean {
    const event = readEvent(line);
    if (event !== null && !CHANGES.has(event.action)) return false;
    this.#events++;
    if (event?.action === 'die') this.#known.get(event.id)?.unit?.died(event.exit);
    else if (event?.action === 'start') this.#known.get(event.id)?.unit?.started();
    return true;
  }

  async #look(events: SourceEvents, signal: AbortSignal): Promise<void> {
    for (let looks = 1; ; looks++) {
      const before = this.#events;
      const askedAt = performance.now();
      const filters = filtersOf({ label: this.#labels });
      const list = await this.#api.ask(`/containers/json?all=1&${filters}`, { signal });
      if (!Array.isArray(list)) throw new Error('Docker has answered with something that is no list of containers');
      if (before !== this.#events && looks < LOOKS_MAX) continue;
      const problems = this.#take(list, askedAt);
      const units = [...this.#known.values()].flatMap(({ unit }) => unit ?? []);
      events.seen({ source: this.#name, units, problems });
      return;
    }
  }

  #take(list: readonly unknown[], askedAt: number): Problem[] {
    const all = list.flatMap((one) => readListed(one) ?? []).sort((a, b) => b.createdAt - a.createdAt);
    const listed = all.slice(0, CONTAINERS_MAX);
    const ids = new Set(listed.map(({ id }) => id));
    for (const [id, { unit }] of this.#known) {
      if (ids.has(id)) continue;
      this.#known.delete(id);
      unit?.removed();
    }
    this.#isSettled = true;
    for (const one of listed) {
      const known = this.#known.get(one.id) ?? this.#read(one);
      this.#known.set(one.id, known);
      if (known.unit?.listed(one, askedAt) === false) this.#isSettled = false;
    }
    const problems = [...this.#known.values()].flatMap((known) => known.problem ?? []);
    const more = all.length - listed.length;
    if (more > 0) problems.push({ route: null, text: `${more} containers are left out: at most ${CONTAINERS_MAX} with ${LABEL} are used` });
    return problems;
  }

  #read(listed: Listed): Known {
    if (listed.labels[STARTED_LABEL] !== undefined) return { unit: null, problem: null };
    const said = `container ${listed.name}`;
    try {
      if (listed.id === this.#self)
        throw new ConfigError([problem(LABEL, listed.labels[LABEL], 'none at the container of pullproxy itself')]);
      if (listed.labels[SWARM_LABEL] !== undefined)
        throw new ConfigError([problem(LABEL, listed.labels[LABEL], 'none at a container of a Swarm service, which Swarm starts again')]);
      const place = { api: this.#api, reach: () => this.#reach };
      return { unit: new DockerUnit(listed, readLabels(listed.labels), place), problem: null };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return { unit: null, problem: { route: null, text: `${said}: ${error.problems.join('; ')}` } };
    }
  }
}

function filtersOf(filters: Readonly<Record<string, readonly string[]>>): string {
  return new URLSearchParams({ filters: JSON.stringify(filters) }).toString();
}
