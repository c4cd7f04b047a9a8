/** The cluster's times and bounds. Both implementations of the directory and the member use these. */

/** A node and what it has at its routes is said again this often. */
export const beatMs = 1_000;
/** A node that has not beaten for so long is dead, with all that it had registered. */
export const deadAfterMs = 3_000;
/** A clock that goes back by less, or that a message is ahead of by less, was not set. */
export const clockStepMs = 1_000;
/** After a loss, the directory is whole again when all nodes have beaten, some of them twice. */
export const recoveryMs = 2 * beatMs;
/** A promised slot that has not come by then is searched for anew. */
export const promiseMs = 250;
/** A route whose clients are held here is searched again after a random time between these two: lost messages heal by it. */
export const sweepMinMs = 100;
export const sweepMaxMs = 200;
/** A client elsewhere goes before one's own only when it is older by more than this. */
export const setAgeMs = 100;
/** For how long a demand notice is believed. */
export const demandMemoryMs = 1_000;
/** Demand notices that are remembered: beyond it the oldest route's are forgotten. */
export const demandRoutesMax = 5_000;
/** Nodes of which it is remembered at one route. */
export const demandNodesMax = 1_000;
/** At most one demand notice, and one `onStartNeeded`, in this time and route. */
export const demandGapMs = 50;
/** The same where nobody was held any more since the last one: who has a slot has not heard of the client that came now. */
export const demandAnewGapMs = 5;
/** Offers pause for so long after slots that lie here could not be moved, lest the same move is tried as fast as Redis answers. */
export const offerPauseMs = 100;
/** While the directory has clients of a node's at a route, it is told of more, and of those who are served, this often at most. */
export const holdsGapMs = 10;
/** Holds in one call of the directory; more go out as several calls at once. */
export const holdsPerCallMax = 500;
/** Of a route's oldest held clients, those a search looks at: bounds the time of one script. */
export const scanMax = 2_000;
/** The same for what is only to be known of them: who is the oldest. */
export const lookMax = 200;
/** A route at which this node has nothing is left after this time, so that a pause between two clients is not a leave and an enter. */
export const leaveAfterMs = 5_000;
/** What is registered outlives the last beat by this much, in case nobody is left who cleans it. */
export const keysLiveMs = 60_000;
/** It is said again, for all of a route's keys, this often at most. */
export const keepEveryMs = 10_000;
/** Of a route's starts, those that a picture of it shows. */
export const startsShownMax = 200;
/** The last known concurrency of a route is kept for 30 days: the first start after a quiet time knows it. */
export const concurrencyLivesMs = 30 * 24 * 3_600_000;
/** The configured routes are compared this often, in case the message about a change was lost. */
export const routesCheckMs = 5_000;
/** Is anything linked as this name? A yes is believed for so long, and a no. */
export const linkedYesMs = 5_000;
export const linkedNoMs = 1_000;
/** An outdated yes still counts for so long while the directory can't be asked. */
export const linkedStaleMs = 30_000;
/** Names whose answer is kept; names come from strangers. */
export const linkedNamesMax = 1_000;
/** Questions about names that are sent per second. */
export const linkedLookupsPerSecondMax = 200;
/** How long `start` waits for the directory before the node goes on without it. */
export const startWaitMs = 5_000;
