/** The Lua scripts beside this file: one file a transition, read once. */
import { readFileSync } from 'node:fs';
import { concurrencyLivesMs, deadAfterMs, keepEveryMs, keysLiveMs, lookMax, promiseMs, scanMax, startsShownMax } from '../limits.ts';
import * as startLimits from '../start-limits.ts';
import { routeKeys } from './keys.ts';

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
  ...startLimits,
})
  .map(([name, value]) => `local ${name} = ${value}`)
  .join('\n');

/** What stands before a script: what all scripts of a route share, and what those share that search for slots. */
const ROUTE = ['_route'];
const SEARCH = ['_route', '_match'];
const keysOfRoute = routeKeys('any').length;

export const SCRIPTS = {
  hold: script('hold', SEARCH, keysOfRoute),
  offer: script('offer', SEARCH, keysOfRoute),
  short: script('short', SEARCH, keysOfRoute),
  beat: script('beat', ROUTE, keysOfRoute),
  leave: script('leave', ROUTE, keysOfRoute),
  retire: script('retire', ROUTE, keysOfRoute),
  linked: script('linked', ROUTE, keysOfRoute),
  plan: script('plan', ROUTE, keysOfRoute),
  beginStarts: script('begin-starts', ROUTE, keysOfRoute),
  endStart: script('end-start', ROUTE, keysOfRoute),
  noteFailure: script('note-failure', ROUTE, keysOfRoute),
  startTimes: script('start-times', ROUTE, keysOfRoute),
  want: script('want', ROUTE, keysOfRoute),
  restart: script('restart', ROUTE, keysOfRoute),
  snapshot: script('snapshot', ROUTE, keysOfRoute),
  beatNode: script('beat-node', [], 1),
  nodes: script('nodes', [], 1),
} as const satisfies Record<string, Script>;

export type ScriptName = keyof typeof SCRIPTS;

function script(file: string, shared: readonly string[], numberOfKeys: number): Script {
  return { lua: [CONSTANTS, ...[...shared, file].map(read)].join('\n'), numberOfKeys };
}

function read(file: string): string {
  return readFileSync(new URL(`./scripts/${file}.lua`, import.meta.url), 'utf8');
}
