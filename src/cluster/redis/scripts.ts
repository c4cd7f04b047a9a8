/** The Lua scripts beside this file: one file for each transition, read once. */
import { readFileSync } from 'node:fs';
import { AGENT_ROOM_MAX, AGENTS_PER_ROUTE_MAX } from '../../config/agent-limits.ts';
import { LONGEST_TIMER_MS } from '../../config/duration.ts';
import { KEY_CHARS_MAX } from '../../config/route-key.ts';
import { ROUTE_CHARS_MAX } from '../../config/route-name.ts';
import { GIVEN_LIVES_MS } from '../agents.ts';
import { DELETIONS_MAX, VERSION_MAX } from '../declarations.ts';
import { ASK_CHARS_MAX, CREDIT, LINES_MAX } from '../fair-order.ts';
import { HISTORY_BUCKETS_MAX, HISTORY_FIELD_CHARS_MAX, HISTORY_FIELDS_MAX } from '../history.ts';
import { KEY_PLACE_MAX_MS } from '../key-places.ts';
import {
  BEAT_MS,
  CLOCK_STEP_MS,
  CONCURRENCY_LIVES_MS,
  DEAD_AFTER_MS,
  KEEP_EVERY_MS,
  KEYED_REMEMBERED_MS,
  KEYS_LIVE_MS,
  LOOK_CLIENTS_MAX,
  LOOK_LINES_MAX,
  LOOK_MAX,
  PROMISE_HEARD_MS,
  PROMISE_MS,
  READY_MAX,
  REST_DEAD_AFTER_MS,
  SCAN_MAX,
  STARTS_SHOWN_MAX,
} from '../limits.ts';
import { PAUSED_ROUTES_MAX } from '../pauses.ts';
import {
  BEGUN_LIVES_MS,
  ENDED_MAX,
  ENDED_TAKEN_MAX,
  FAILURES_MAX,
  LOST_AFTER_MS,
  MINUTE_MS,
  PROVED_AFTER_MS,
  REASON_CHARS_MAX,
  RESTART_LIVES_MS,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
  WANTED_LIVES_MS,
} from '../start-limits.ts';
import { ADDRESS_CHARS_MAX, CONCURRENCY_MAX, COUNT_MAX, NODE_CHARS_MAX, WHOLE_MAX } from '../values.ts';
import { START_AGES_MAX } from '../wait-estimate.ts';
import { START_TIMES_MAX, TOOK_HALF_MS } from '../waits.ts';
import { declarationKeys, routeKeys } from './keys.ts';

export interface Script {
  readonly lua: string;
  readonly numberOfKeys: number;
}

const CONSTANTS = Object.entries({
  beatMs: BEAT_MS,
  deadAfterMs: DEAD_AFTER_MS,
  restDeadAfterMs: REST_DEAD_AFTER_MS,
  promiseMs: PROMISE_MS,
  promiseHeardMs: PROMISE_HEARD_MS,
  scanMax: SCAN_MAX,
  lookMax: LOOK_MAX,
  lookLinesMax: LOOK_LINES_MAX,
  lookClientsMax: LOOK_CLIENTS_MAX,
  linesMax: LINES_MAX,
  credit: CREDIT,
  askCharsMax: ASK_CHARS_MAX,
  keysLiveMs: KEYS_LIVE_MS,
  keepEveryMs: KEEP_EVERY_MS,
  concurrencyLivesMs: CONCURRENCY_LIVES_MS,
  readyMax: READY_MAX,
  startsShownMax: STARTS_SHOWN_MAX,
  clockStepMs: CLOCK_STEP_MS,
  wholeMax: WHOLE_MAX,
  countMax: COUNT_MAX,
  concurrencyMax: CONCURRENCY_MAX,
  nodeCharsMax: NODE_CHARS_MAX,
  addressCharsMax: ADDRESS_CHARS_MAX,
  startTimeoutMaxMs: LONGEST_TIMER_MS,
  /** Limits of single values, because anybody may have written them. */
  instanceCharsMax: 4_096,
  routeCharsMax: ROUTE_CHARS_MAX,
  servedCharsMax: ROUTE_CHARS_MAX + 1 + KEY_CHARS_MAX,
  settingsCharsMax: 65_536,
  nodeFieldCharsMax: 8_192,
  /** Keys that were moved aside stay for a day. */
  asideLivesMs: 24 * 3_600_000,
  /** Ends of starts that no scaler of this version counts. */
  endedLivesMs: 3_600_000,
  auditedMax: 20,
  auditedCharsMax: 100,
  deletionsMax: DELETIONS_MAX,
  versionMax: VERSION_MAX,
  historyFieldsMax: HISTORY_FIELDS_MAX,
  historyFieldCharsMax: HISTORY_FIELD_CHARS_MAX,
  begunLivesMs: BEGUN_LIVES_MS,
  endedMax: ENDED_MAX,
  endedTakenMax: ENDED_TAKEN_MAX,
  failuresMax: FAILURES_MAX,
  lostAfterMs: LOST_AFTER_MS,
  minuteMs: MINUTE_MS,
  provedAfterMs: PROVED_AFTER_MS,
  reasonCharsMax: REASON_CHARS_MAX,
  restartLivesMs: RESTART_LIVES_MS,
  retryFirstMs: RETRY_FIRST_MS,
  retryLastMs: RETRY_LAST_MS,
  wantedLivesMs: WANTED_LIVES_MS,
  pausedRoutesMax: PAUSED_ROUTES_MAX,
  tookHalfMs: TOOK_HALF_MS,
  startTimesMax: START_TIMES_MAX,
  startAgesMax: START_AGES_MAX,
  keyPlaceMaxMs: KEY_PLACE_MAX_MS,
  keyedRememberedMs: KEYED_REMEMBERED_MS,
  agentRoomMax: AGENT_ROOM_MAX,
  agentsMax: AGENTS_PER_ROUTE_MAX,
  agentCharsMax: 4_096,
  givenLivesMs: GIVEN_LIVES_MS,
  givenMax: 10_000,
})
  .map(([name, value]) => `local ${name} = ${value}`)
  .join('\n');

/** Shared parts that are put before a script: for all scripts of a route, and for those that search slots. */
const ROUTE = ['_held', '_route'];
const SEARCH = [...ROUTE, '_match'];
const AUDIT = [...ROUTE, '_audit'];
const WAITS = [...ROUTE, '_waits'];
const DECLARED = ['_declared'];
const keysOfRoute = routeKeys('any').length;

export const SCRIPTS = {
  hold: script('hold', SEARCH, keysOfRoute),
  offer: script('offer', SEARCH, keysOfRoute),
  short: script('short', SEARCH, keysOfRoute),
  beat: script('beat', AUDIT, keysOfRoute),
  leave: script('leave', ROUTE, keysOfRoute),
  retire: script('retire', ROUTE, keysOfRoute),
  linked: script('linked', ROUTE, keysOfRoute),
  plan: script('plan', ROUTE, keysOfRoute),
  beginStarts: script('begin-starts', ROUTE, keysOfRoute),
  endStart: script('end-start', ROUTE, keysOfRoute),
  noteFailure: script('note-failure', ROUTE, keysOfRoute),
  endedStarts: script('ended-starts', ROUTE, keysOfRoute),
  startTimes: script('start-times', ROUTE, keysOfRoute),
  want: script('want', ROUTE, keysOfRoute),
  restart: script('restart', ROUTE, keysOfRoute),
  // And the agents of the route.
  snapshot: script('snapshot', WAITS, keysOfRoute + 1),
  waits: script('waits', WAITS, keysOfRoute),
  mend: script('mend', ['_aside', ...AUDIT], keysOfRoute),
  beatNode: script('beat-node', [], 1),
  nodes: script('nodes', [], 1),
  node: script('node', [], 1),
  nodeRoutes: script('node-routes', [], 1),
  routes: script('routes', [], 1),
  declarations: script('declarations', DECLARED, declarationKeys.length),
  declare: script('declare', DECLARED, declarationKeys.length),
  restore: script('restore', DECLARED, declarationKeys.length),
  history: script('history', [], 1),
  historyRead: script('history-read', [], HISTORY_BUCKETS_MAX),
  pause: script('pause', DECLARED, declarationKeys.length),
  pauses: script('pauses', [], 1),
  keys: script('keys', [], 1),
  agents: script('agents', [], 1),
  giveStart: script('give-start', [], 2),
  givenStart: script('given-start', [], 1),
  aside: script('aside', ['_aside'], 1),
} as const satisfies Record<string, Script>;

export type ScriptName = keyof typeof SCRIPTS;

function script(file: string, shared: readonly string[], numberOfKeys: number): Script {
  return { lua: [CONSTANTS, ...[...shared, file].map(read)].join('\n'), numberOfKeys };
}

function read(file: string): string {
  return readFileSync(new URL(`./scripts/${file}.lua`, import.meta.url), 'utf8');
}
