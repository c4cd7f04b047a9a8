/** The Lua scripts beside this file: one file for each transition, read once. */
import { readFileSync } from 'node:fs';
import { LONGEST_TIMER_MS } from '../../config/duration.ts';
import { deletionsMax, versionMax } from '../declarations.ts';
import { historyBucketsMax, historyFieldCharsMax, historyFieldsMax } from '../history.ts';
import {
  clockStepMs,
  concurrencyLivesMs,
  deadAfterMs,
  keepEveryMs,
  keysLiveMs,
  lookMax,
  promiseMs,
  scanMax,
  startsShownMax,
} from '../limits.ts';
import * as startLimits from '../start-limits.ts';
import { addressCharsMax, concurrencyMax, countMax, nodeCharsMax, wholeMax } from '../values.ts';
import { declarationKeys, routeKeys } from './keys.ts';

export interface Script {
  readonly lua: string;
  readonly numberOfKeys: number;
}

const CONSTANTS = Object.entries({
  deadAfterMs,
  promiseMs,
  scanMax,
  lookMax,
  keysLiveMs,
  keepEveryMs,
  concurrencyLivesMs,
  startsShownMax,
  clockStepMs,
  wholeMax,
  countMax,
  concurrencyMax,
  nodeCharsMax,
  addressCharsMax,
  startTimeoutMaxMs: LONGEST_TIMER_MS,
  /** Limits of single values, because anybody may have written them. */
  instanceCharsMax: 4_096,
  routeCharsMax: 253,
  settingsCharsMax: 65_536,
  nodeFieldCharsMax: 8_192,
  /** Keys that were moved aside stay for a day. */
  asideLivesMs: 24 * 3_600_000,
  /** Ends of starts that no scaler of this version counts. */
  endedLivesMs: 3_600_000,
  auditedMax: 20,
  auditedCharsMax: 100,
  deletionsMax,
  versionMax,
  historyFieldsMax,
  historyFieldCharsMax,
  ...startLimits,
})
  .map(([name, value]) => `local ${name} = ${value}`)
  .join('\n');

/** Shared parts that are put before a script: for all scripts of a route, and for those that search slots. */
const ROUTE = ['_route'];
const SEARCH = ['_route', '_match'];
const AUDIT = ['_route', '_audit'];
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
  snapshot: script('snapshot', ROUTE, keysOfRoute),
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
  historyRead: script('history-read', [], historyBucketsMax),
  aside: script('aside', ['_aside'], 1),
} as const satisfies Record<string, Script>;

export type ScriptName = keyof typeof SCRIPTS;

function script(file: string, shared: readonly string[], numberOfKeys: number): Script {
  return { lua: [CONSTANTS, ...[...shared, file].map(read)].join('\n'), numberOfKeys };
}

function read(file: string): string {
  return readFileSync(new URL(`./scripts/${file}.lua`, import.meta.url), 'utf8');
}
