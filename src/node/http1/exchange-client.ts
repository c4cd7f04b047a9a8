import type { Tunnel, TunnelClient } from '../clients/tunnel.ts';
import type { ColdStart } from '../matching/cold-start.ts';
import type { Lender } from '../matching/slots.ts';
import type { Visit } from '../matching/visit.ts';
import type { HttpVisitEvents } from './http-visit.ts';

/** What the node does about exchanges. */
export interface ExchangeEvents extends HttpVisitEvents {
  /** The answer to a client that waited for an instance to be started begins. */
  coldStart?(exchange: Visit, lender: Lender, stages: ColdStart): void;
  /** Set while the node leaves: connections end with their current answer. */
  readonly draining: boolean;
  /** Header lines of every answer that goes by https. */
  readonly httpsLines?: string;
}

/** The connection that the request came on. */
export interface ExchangeClient extends TunnelClient {
  /** The exchange's answer is complete: the next request may come, or the connection ends. */
  finished(keepAlive: boolean): void;
  /** Bytes that it keeps for or behind the request that is being served. */
  readonly unreadBytes: number;
  /** How much comes at a time can't be bounded: it is not read while there is no instance. */
  readonly readsInBulk: boolean;
  /** From now on all bytes belong to the tunnel. */
  enter(tunnel: Tunnel): void;
}
