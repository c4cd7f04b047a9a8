export interface Finding {
  /** `broken`: it does harm; `odd`: it is wrong, but heals by itself or does no harm. */
  readonly severity: 'broken' | 'odd';
  /** Where to look: a key, or a setting of the server. */
  readonly key: string;
  readonly what: string;
  readonly advice: string;
}
