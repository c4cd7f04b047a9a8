/** Where an instance is in its life. */
import type { AppExit } from './app-process.ts';

/** `refusing`: the application has accepted before and does not now. `emptying`: slots are coming home for good. */
export type Phase = 'new' | 'starting' | 'ready' | 'refusing' | 'emptying' | 'stopping' | 'over';

/** What may come next. */
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
