/** The instance that is preferred served the request, another one did, or it is not there any more. */
export type AffinityResult = 'hit' | 'miss' | 'gone';

/** Which instance one request would rather have, and what came of it. */
export interface Wish {
  /** The values that it says, none of them empty or too long. */
  readonly values: readonly string[];
  /** Null: it prefers none, or one that is not there. */
  instance: string | null;
  /** It takes any instance now. */
  isOver: boolean;
  /** When it is served. */
  result: AffinityResult | null;
}
