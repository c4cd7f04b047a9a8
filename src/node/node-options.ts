import type { Cluster } from '../cluster/cluster.ts';
import type { AddressRange } from '../config/address-range.ts';
import type { HostPort } from '../config/host-port.ts';
import type { ListenUrl } from '../config/listen-url.ts';
import type { ClientLimits } from '../config/listener-settings.ts';
import type { RouteSettings } from '../config/route-settings.ts';
import type { LinkTiming } from '../link/link.ts';
import type { Log } from '../log.ts';
import type { Pages } from './http1/pages.ts';
import type { Leaver } from './lenders/lenders.ts';
import type { BackendTls } from './lenders/link-server.ts';
import type { Certificates } from './listeners/certificates.ts';
import type { VisitWatcher } from './visits/visit-watchers.ts';

/** The options of a node. */
export interface NodeOptions extends ClientLimits {
  readonly id: string;
  readonly listen: readonly ListenUrl[];
  /** For https listeners. */
  readonly certificates?: Certificates;
  /** Requests that came in the clear are sent to https at this port instead of being served. */
  readonly httpsRedirect?: number;
  /** How long browsers should use https only (RFC 6797); absent: no such header. */
  readonly hstsMs?: number;
  /** Proxies in front of this node that are believed about their clients; none when absent. */
  readonly trustedProxies?: readonly AddressRange[];
  /** Linkers must speak TLS. */
  readonly backendTls?: BackendTls;
  readonly backend: HostPort;
  /** Other nodes of this machine listen at the same ports for clients, and at this one for linkers; `backend` is this node's own. */
  readonly sharedBackend?: HostPort;
  /** Makes the cluster that this node joins; `bound` is the backend port's HOST:PORT. */
  readonly cluster: (bound: string) => Cluster;
  /** Clients of `route` are held and no slot is known; with `force`, one more instance is wanted in any case. */
  readonly startNeeded: (route: string, force?: number) => void;
  /** An instance of a route with a stop command has left for good. */
  readonly instanceLeft?: (route: string, leaver: Leaver) => void;
  /** Somebody asked this node to leave, at another node: its command begins to drain. Without `delayMs` as it does by itself. */
  readonly leaveAsked?: (delayMs?: number) => void;
  /** Somebody asked this node to read its configuration anew. */
  readonly reloadAsked?: () => void;
  /** The secrets with which a linker may serve `route`; the first one is also used to relay. */
  readonly secrets: (route: string) => readonly string[];
  readonly routeDefaults?: RouteSettings;
  /** Routes without settings that linkers with one secret may make known. */
  readonly routesPerSecretMax?: number;
  /** Links of linkers with one secret. */
  readonly linksPerSecretMax?: number;
  /** Commands that routes have as `keyCheck` are run; absent: they are not. */
  readonly allowKeyCommands?: boolean;
  /** Held visits at this node, over all routes. */
  readonly heldMax: number;
  readonly beforeRequestTimeoutMs?: number;
  /** Whether requests get a `Via`; absent: they do. */
  readonly via?: 'on' | 'off';
  readonly linkTiming?: LinkTiming;
  /** The oldest version of the link protocol that linkers and other nodes may speak; without it the newest. */
  readonly linkVersionMin?: number;
  /** What browsers see that wait; absent: pullproxy's own page. */
  readonly pages?: Pages;
  /** Access log, traces; without them nothing is noted of visits. */
  readonly watchers?: readonly VisitWatcher[];
  readonly log: Log;
}

export interface NodeAddresses {
  readonly listen: readonly string[];
  readonly backend: string;
}
