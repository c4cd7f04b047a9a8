/** Where an instance is in its life. */
import type { AppExit } from './app-process.ts';

/** `refusing`: the application has accepted before and does not now. `emptying`: slots are coming home for good. */
export type Phase = 'new' | 'starting' | 'ready' | 'refusing' | 'emptying' | 'stopping' | 'over';

/** The phases that may follow. */
export const FOLLOWS: Readonly<Record<Phase, readonly Phase[]>> = {
  new: ['starting', 'over'],
  starting: ['ready', 'emptying'],
  ready: ['refusing', 'emptying'],
  refusing: ['ready', 'emptying'],
  emptying: ['stopping'],
  stopping: ['over'],
  over: [],
};

/** Why the instance leaves. */
export type Leave =
  | { readonly why: 'drain' }
  | { readonly why: 'retire' }
  | { readonly why: 'turned away' }
  | { readonly why: 'too slow'; readonly words: string }
  | { readonly why: 'ended'; readonly exit: AppExit };

/** After it was linked first. Later, an instance does not leave by a node's wish. */
export const TURN_AWAY_WITHIN_MS = 10_000;

const TOO_SLOW_CODE = 1;
/** EX_TEMPFAIL (sysexits.h): its start was given up meanwhile, and others have taken its place. */
const TURNED_AWAY_CODE = 75;

/** The linker's exit code: 0 after a drain or a retirement, the application's when that ended by itself. */
export function exitCodeOf(leave: Leave): number {
  if (leave.why === 'too slow') return TOO_SLOW_CODE;
  if (leave.why === 'turned away') return TURNED_AWAY_CODE;
  return leave.why === 'ended' ? leave.exit.code : 0;
}

/** An application that ends by itself with code 0 after it has answered may mean it: one process a request, for one. */
export function failureOf(leaving: Leave | null, hasAnswered: boolean): { failure?: string } {
  if (leaving?.why === 'too slow') return { failure: `the application ${leaving.words}` };
  if (leaving?.why !== 'ended' || (leaving.exit.code === 0 && hasAnswered)) return {};
  return { failure: `the application ${leaving.exit.words}` };
}
