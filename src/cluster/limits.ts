/** Times and limits of the cluster, for both directories and the member. */

/** How often a node sends itself and its entries at routes. */
export const BEAT_MS = 1_000;
/** A node without a beat for this time is dead, with all its entries. */
export const DEAD_AFTER_MS = 3_000;
/** A node rests at a route after this time without a change there. A replica that takes over may lack the last beat before the rest, but not the last two. */
export const REST_AFTER_MS = 2_500;
/** A node that rests at a route sends a beat there after a random time between these two. */
export const REST_BEAT_MIN_MS = 25_000;
export const REST_BEAT_MAX_MS = 30_000;
/** Entries of a node that rests at their route are removed this long after its last beat there, in case nobody missed the node itself. One beat may be lost. */
export const REST_DEAD_AFTER_MS = 65_000;
/** So often others try to remove what a dead node has left at its routes, once a second. */
export const BURIAL_TRIES_MAX = 30;
/** Dead nodes whose entries wait to be removed. */
export const BURIALS_MAX = 1_000;
/** Routes whose revisions are read in one call. */
export const REVISIONS_PER_CALL_MAX = 500;
/** A user of Redis may lack the right to read revisions. They are asked for again after this time, and meanwhile nothing rests. */
export const REVISIONS_AGAIN_MS = 60_000;
/** A smaller step back of a clock, or a message less far ahead, does not mean that the clock was set. */
export const CLOCK_STEP_MS = 1_000;
/** After a loss, the directory is complete again when all nodes have sent a beat, some of them two. */
export const RECOVERY_MS = 2 * BEAT_MS;
/** A promised slot that has not come by then is searched for again. */
export const PROMISE_MS = 250;
/** By then the node whose slots are promised has heard of it, or the message is lost. */
export const PROMISE_HEARD_MS = 100;
/** A route with clients held here is searched again after a random time between these two, in case a message was lost. */
export const SWEEP_MIN_MS = 100;
export const SWEEP_MAX_MS = 200;
/** A client elsewhere goes first only when it is older by more than this. */
export const SET_AGE_MS = 100;
/** How long a demand notice counts. */
export const DEMAND_MEMORY_MS = 1_000;
/** Demand notices that are remembered; beyond that, those of the oldest route are forgotten. */
export const DEMAND_ROUTES_MAX = 5_000;
/** Nodes with remembered notices at one route. */
export const DEMAND_NODES_MAX = 1_000;
/** At most one demand notice, and one `onStartNeeded`, in this time and route. */
export const DEMAND_GAP_MS = 50;
/** The same if no client was held since the last notice: nodes with slots have not heard of the new client. */
export const DEMAND_ANEW_GAP_MS = 5;
/** Offers pause for this time after slots could not be moved. Otherwise the same move would be tried as fast as Redis answers. */
export const OFFER_PAUSE_MS = 100;
/** While the directory has clients of a node at a route, changes are sent at most this often. */
export const HOLDS_GAP_MS = 10;
/** Holds in one call of the directory; more go out as several calls at once. */
export const HOLDS_PER_CALL_MAX = 500;
/** Lines of clients whose tags are asked for in one call, besides those that were served. */
export const LINES_PER_CALL_MAX = 100;
/** How many of a route's oldest held clients a search looks at. It limits the time of one script. */
export const SCAN_MAX = 2_000;
/** The same when only the oldest one is wanted. */
export const LOOK_MAX = 200;
/** Where clients ask for something, so many lines, and so many clients of each, are looked at for the first one of a node. */
export const LOOK_LINES_MAX = 32;
export const LOOK_CLIENTS_MAX = 8;
/** A route at which this node has nothing is left after this time, so that a pause between two clients is not a leave and an enter. */
export const LEAVE_AFTER_MS = 5_000;
/** Entries expire this long after the last beat, in case no node is left to remove them. Longer than a node rests. */
export const KEYS_LIVE_MS = 90_000;
/** The expiry of a route's keys is renewed at most this often. */
export const KEEP_EVERY_MS = 10_000;
/** So much of that time is always left. */
export const KEYS_LEFT_MIN_MS = KEYS_LIVE_MS - KEEP_EVERY_MS - REST_BEAT_MAX_MS;
/** How many ready instances of a route a node is told, where it wants to know them. */
export const READY_MAX = 1_000;
/** How many starts of a route a snapshot shows. */
export const STARTS_SHOWN_MAX = 200;
/** The last known concurrency of a route is kept for 30 days: the first start after a quiet time knows it. */
export const CONCURRENCY_LIVES_MS = 30 * 24 * 3_600_000;
/** The same of a route's key, which nobody has configured: strangers may have invented it. */
export const KEYED_REMEMBERED_MS = 120_000;
/** The configured routes are compared this often, in case the message about a change was lost. */
export const ROUTES_CHECK_MS = 5_000;
/** Is an instance linked by this name? How long a yes counts, and how long a no. */
export const LINKED_YES_MS = 5_000;
export const LINKED_NO_MS = 1_000;
/** How long an outdated yes still counts while the directory can't be asked. */
export const LINKED_STALE_MS = 30_000;
/** Names whose response is kept. Names come from strangers. */
export const LINKED_NAMES_MAX = 1_000;
/** Questions about names that are sent per second. */
export const LINKED_LOOKUPS_PER_SECOND_MAX = 200;
/** How long `start` waits for the directory before the node goes on without it. */
export const START_WAIT_MS = 5_000;
