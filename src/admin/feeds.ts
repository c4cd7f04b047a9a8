/** The responses of the API that have no end. */
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RequestError } from './api-call.ts';
import { type EventStreams, LISTENERS_MAX } from './event-streams.ts';
import { StateFeed } from './state-feed.ts';
import type { StateReader } from './state-reader.ts';
import { TimelineFeed } from './timeline-feed.ts';

export class Feeds {
  readonly states: StateFeed;
  readonly timeline: TimelineFeed;
  readonly #listens: (socket: Socket) => void;

  /** `listens` is called for a connection whose response has no end. */
  constructor(reader: StateReader, listens: (socket: Socket) => void, everyMs?: number) {
    this.states = new StateFeed(reader, everyMs);
    this.timeline = new TimelineFeed(reader, everyMs);
    this.#listens = listens;
  }

  /** The response goes on until its listener leaves. @throws RequestError when there are too many */
  follow<Kept>(streams: EventStreams<Kept>, kept: Kept, request: FastifyRequest, reply: FastifyReply): void {
    const headers = Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]));
    if (!streams.add(reply.raw, headers, kept)) {
      throw new RequestError(503, 'too_many_listeners', `there are ${LISTENERS_MAX} listeners already`);
    }
    this.#listens(request.raw.socket);
    reply.hijack();
  }

  close(): void {
    this.states.close();
    this.timeline.close();
  }
}
