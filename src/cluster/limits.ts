/** Times and limits of the cluster, for both directories and the member. */

/** How often a node sends itself and its entries at routes. */
export const beatMs = 1_000;
/** A node without a beat for this time is dead, with all its entries. */
export const deadAfterMs = 3_000;
/** A smaller step back of a clock, or a message less far ahead, does not mean that the clock was set. */
export const clockStepMs = 1_000;
/** After a loss, the directory is complete again when all nodes have sent a beat, some of them two. */
export const recoveryMs = 2 * beatMs;
/** A promised slot that has not come by then is searched for again. */
export const promiseMs = 250;
/** A route with clients held here is searched again after a random time between these two, in case a message was lost. */
export const sweepMinMs = 100;
export const sweepMaxMs = 200;
/** A client elsewhere goes first only when it is older by more than this. */
export const setAgeMs = 100;
/** How long a demand notice counts. */
export const demandMemoryMs = 1_000;
/** Demand notices that are remembered; beyond that, those of the oldest route are forgotten. */
export const demandRoutesMax = 5_000;
/** Nodes with remembered notices at one route. */
export const demandNodesMax = 1_000;
/** At most one demand notice, and one `onStartNeeded`, in this time and route. */
export const demandGapMs = 50;
/** The same if no client was held since the last notice: nodes with slots have not heard of the new client. */
export const demandAnewGapMs = 5;
/** Offers pause for this time after slots could not be moved. Otherwise the same move would be tried as fast as Redis answers. */
export const offerPauseMs = 100;
/** While the directory has clients of a node at a route, changes are sent at most this often. */
export const holdsGapMs = 10;
/** Holds in one call of the directory; more go out as several calls at once. */
export const holdsPerCallMax = 500;
/** How many of a route's oldest held clients a search looks at. It limits the time of one script. */
export const scanMax = 2_000;
/** The same when only the oldest one is wanted. */
export const lookMax = 200;
/** A route at which this node has nothing is left after this time, so that a pause between two clients is not a leave and an enter. */
export const leaveAfterMs = 5_000;
/** Entries expire this long after the last beat, in case no node is left to remove them. */
export const keysLiveMs = 60_000;
/** The expiry of a route's keys is renewed at most this often. */
export const keepEveryMs = 10_000;
/** How many starts of a route a snapshot shows. */
export const startsShownMax = 200;
/** The last known concurrency of a route is kept for 30 days: the first start after a quiet time knows it. */
export const concurrencyLivesMs = 30 * 24 * 3_600_000;
/** The configured routes are compared this often, in case the message about a change was lost. */
export const routesCheckMs = 5_000;
/** Is an instance linked by this name? How long a yes counts, and how long a no. */
export const linkedYesMs = 5_000;
export const linkedNoMs = 1_000;
/** How long an outdated yes still counts while the directory can't be asked. */
export const linkedStaleMs = 30_000;
/** Names whose response is kept. Names come from strangers. */
export const linkedNamesMax = 1_000;
/** Questions about names that are sent per second. */
export const linkedLookupsPerSecondMax = 200;
/** How long `start` waits for the directory before the node goes on without it. */
export const startWaitMs = 5_000;
